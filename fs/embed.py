# SPDX-License-Identifier: Apache-2.0
"""The status page as a C array: embed.py PAGE OUTPUT, called by the build."""

import sys

with open(sys.argv[1], "rb") as f:
    page = f.read()
rows = [", ".join(str(b) for b in page[i:i + 20]) for i in range(0, len(page), 20)]
with open(sys.argv[2], "w") as f:
    f.write('#include "fs/control_i.h"\n\nconst char status_page[] = {\n\t' + ",\n\t".join(rows) + "\n};\n"
            "const size_t status_page_size = sizeof(status_page);\n")
