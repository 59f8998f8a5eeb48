/* SPDX-License-Identifier: Apache-2.0
 *
 * Opened with dlopen by plugin_host: a library that plants a pair.
 */
#include "shape.h"

void plugin_plant(void);

OUT_OF_LINE void plugin_plant(void)
{
	struct shape *a = shape_new("PluginLeft"), *b = shape_new("PluginRight");

	shape_hold(a, b, "right");
	shape_hold(b, a, "left");
	shape_drop(a);
	shape_drop(b);
}
