/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one who sees everything: which record each slot has, what every operation did, what every
 * program was told. A contradiction ends the program with the seed and a sentence.
 */
#include "fs/ns/apply.h"
#include "tests/lib/cluster.h"

void watch_begin(void);
void watch_end(void);

/* The run is wrong: says why, and how to see it again. Does not return. */
void watch_fail(const char *fmt, ...) printf_like(1, 2) __attribute__((noreturn));
/* With -v: what happens. */
extern bool watch_verbose;
void watch_say(const char *fmt, ...) printf_like(1, 2);

/* A record was found to be chosen. */
void watch_chosen(const uint8_t who[INCARNATION_SIZE], const struct record *r);
/* A program was told the result of an operation of an incarnation: for good, or early. */
enum told_how { TOLD_COMMITTED, TOLD_EARLY };
void watch_told(const uint8_t who[INCARNATION_SIZE], uint64_t no, const struct op *op,
		enum told_how how, const struct result *said);
/*
 * Everything that the incarnation was told early so far is committed (a sync said so), or was
 * reported as lost.
 */
void watch_synced(const uint8_t who[INCARNATION_SIZE]);
/* An early answer was taken back. */
void watch_lost(const uint8_t who[INCARNATION_SIZE], const struct op *op, const struct result *now);
/* The highest slot known to be chosen. */
uint64_t watch_slot(void);
uint64_t watch_records(void);
uint64_t watch_lost_count(void);

/* At the end: what was told is so, and the stores' chains chose one record per slot. */
void watch_check_told(void);
void watch_check_stores(struct cluster *c);
