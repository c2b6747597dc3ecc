/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the host object shares with the agent, beside flow.h. */
#ifndef EW_HOST_H
#define EW_HOST_H

#define EW_HOST_INTERFACE 0 /* no real interface has this number */

#endif
