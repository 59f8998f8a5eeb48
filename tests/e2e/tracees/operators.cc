/* SPDX-License-Identifier: Apache-2.0
 *
 * Every form of new and delete; two blocks stay, and their addresses are
 * printed.  Sizes are between 7000 and 8000, where nothing else allocates.
 */
#include <cstdio>
#include <memory>
#include <new>

struct alignas(64) wide {
	char bytes[7040];
};

static void *kept[2];
static volatile std::size_t too_much = static_cast<std::size_t>(-1) / 2;

int main()
{
	operator delete(operator new(7100));
	operator delete[](operator new[](7101));
	operator delete(operator new(7102, std::nothrow), std::nothrow);
	operator delete[](operator new[](7103, std::nothrow), std::nothrow);
	operator delete(operator new(7104), 7104);
	operator delete(operator new(7168, std::align_val_t(128)), std::align_val_t(128));
	operator delete[](operator new[](7169, std::align_val_t(4096)), std::align_val_t(4096));
	delete new wide;
	std::unique_ptr<char[]> owner(new char[7500]);
	auto shared = std::make_shared<wide>();

	try {
		kept[0] = operator new(too_much);
		return 99;
	} catch (const std::bad_alloc &) {
	}
	kept[0] = operator new(7001);
	kept[1] = operator new[](7002);
	std::fprintf(stdout, "%p\n%p\n", kept[0], kept[1]);
	return 0;
}
