/* SPDX-License-Identifier: Apache-2.0
 *
 * Started with closed standard descriptors: whatever it opens must get the
 * lowest number.  Its exit status tells: the three numbers in two bits each.
 */
#include <fcntl.h>
#include <stdlib.h>

int main(void)
{
	int status = 0;

	for (int i = 0; i < 3; i++) {
		int fd = open("/dev/null", O_RDWR);

		free(malloc(100));
		if (fd < 0 || fd > 3)
			return 255;
		status |= fd << (2 * i);
	}
	return status;
}
