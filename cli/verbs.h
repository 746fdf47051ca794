/* cli/verbs.h - the verbs there are; main.c lists them in the order in which --help shows them. */
#pragma once

#include "cli/cli.h"

