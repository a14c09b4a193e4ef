/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/jwt.h"

#include "base/crypto.h"
#include "base/text.h"

int jwt_sign(struct span header, struct span claims, struct span pem, struct buf *ret)
{
	_cleanup_buf_ struct buf signature = BUF_INIT(4 * KiB), text = BUF_INIT(64 * KiB);
	int error = base64url_encode(header, &text);

	if (error == 0)
		error = buf_add_byte(&text, '.');
	if (error == 0)
		error = base64url_encode(claims, &text);
	if (error == 0)
		error = rsa_sha256_sign(pem, buf_span(&text), &signature);
	if (error == 0)
		error = buf_add_byte(&text, '.');
	if (error == 0)
		error = base64url_encode(buf_span(&signature), &text);
	return error < 0 ? error : buf_add_span(ret, buf_span(&text));
}
