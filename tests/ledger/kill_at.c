/*
 * Loaded before libc: ends the process at the n-th call that changes a file, without a word, as the kernel
 * does when memory runs out. A write may be torn: half of it is made, then the process is gone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { MOST = 10000 };

static int left = -1; /* Calls until the end; negative: never. */
static int torn;
static int count;
static char writes[MOST + 1];

EXPORT void arm(int calls, int tear)
{
	left = calls;
	torn = tear;
	count = 0;
}

EXPORT int counted(void)
{
	return count;
}

EXPORT int is_write(int call)
{
	return call > 0 && call <= MOST && writes[call];
}

static int is_the_last(int writing)
{
	if (count++ < MOST)
		writes[count] = writing;
	return left > 0 && --left == 0;
}

static void end(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

#define REAL(name) ((typeof(&name)) dlsym(RTLD_NEXT, #name))

EXPORT ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at)
{
	if (is_the_last(1)) {
		if (torn)
			REAL(pwrite64)(file, bytes, size / 2, at);
		end();
	}
	return REAL(pwrite64)(file, bytes, size, at);
}

EXPORT ssize_t write(int file, const void *bytes, size_t size)
{
	if (is_the_last(1)) {
		if (torn)
			REAL(write)(file, bytes, size / 2);
		end();
	}
	return REAL(write)(file, bytes, size);
}

EXPORT int fdatasync(int file)
{
	if (is_the_last(0))
		end();
	return REAL(fdatasync)(file);
}

EXPORT int fsync(int file)
{
	if (is_the_last(0))
		end();
	return REAL(fsync)(file);
}

EXPORT int ftruncate64(int file, off64_t size)
{
	if (is_the_last(0))
		end();
	return REAL(ftruncate64)(file, size);
}

EXPORT int link(const char *from, const char *to)
{
	if (is_the_last(0))
		end();
	return REAL(link)(from, to);
}

EXPORT int unlink(const char *path)
{
	if (is_the_last(0))
		end();
	return REAL(unlink)(path);
}
