/*
 * A libnvidia-ml.so.1 with one pretended device, for the real Python binding to load. It checks the arguments
 * that it gets and answers a few calls; the others are not in it, as in a driver that is older than the
 * binding.
 */
#include <stddef.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { OK = 0, INVALID = 2, INSUFFICIENT_SIZE = 7, NOT_LOADED = 9, TIMEOUT = 10, MISMATCH = 25 };

typedef struct device device;

struct memory_v2 {
	unsigned int version;
	unsigned long long total, reserved, free, used;
};

struct utilization {
	unsigned int gpu, memory;
};

struct event {
	device *device;
	unsigned long long type, data;
	unsigned int gpu_instance, compute_instance;
};

struct process {
	unsigned int pid;
	unsigned long long used;
	unsigned int gpu_instance, compute_instance;
	unsigned long long protected_used;
};

static int open_count;
static int registered;
static int events_told;
static char the_device;
static char the_events;

#define CHECK(handle)                                 \
	do {                                          \
		if ((void *) (handle) != &the_device) \
			return INVALID;               \
		if (!open_count)                      \
			return NOT_LOADED;            \
	} while (0)

EXPORT int nvmlInitWithFlags(unsigned int flags)
{
	(void) flags;
	open_count++;
	return OK;
}

EXPORT int nvmlShutdown(void)
{
	open_count--;
	return OK;
}

EXPORT int nvmlDeviceGetCount_v2(unsigned int *count)
{
	*count = 1;
	return OK;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device **handle)
{
	if (index)
		return INVALID;
	*handle = (device *) &the_device;
	return OK;
}

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned int size)
{
	strncpy(text, "535.104.05", size);
	return OK;
}

EXPORT int nvmlDeviceGetUUID(device *handle, char *text, unsigned int size)
{
	CHECK(handle);
	strncpy(text, "GPU-00000000-1111-2222-3333-444444444444", size);
	return OK;
}

EXPORT int nvmlDeviceGetName(device *handle, char *text, unsigned int size)
{
	CHECK(handle);
	strncpy(text, "Stub", size);
	return OK;
}

EXPORT int nvmlDeviceGetTemperature(device *handle, int sensor, unsigned int *celsius)
{
	CHECK(handle);
	*celsius = sensor ? 0 : 55;
	return OK;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(device *handle, struct memory_v2 *info)
{
	CHECK(handle);
	if (info->version != (sizeof(*info) | 2 << 24))
		return MISMATCH;
	info->total = 16ULL << 30;
	info->used = 1ULL << 30;
	return OK;
}

EXPORT int nvmlDeviceGetUtilizationRates(device *handle, struct utilization *rates)
{
	CHECK(handle);
	rates->gpu = 25;
	return OK;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(device *handle, unsigned int *count,
                                                   struct process *processes)
{
	CHECK(handle);
	if (!processes || *count < 2) {
		*count = 2;
		return INSUFFICIENT_SIZE;
	}
	memset(processes, 0, 2 * sizeof(*processes));
	processes[0].pid = 100;
	processes[1].pid = 200;
	*count = 2;
	return OK;
}

EXPORT int nvmlDeviceGetRemappedRows(device *handle, unsigned int *corrected, unsigned int *uncorrected,
                                     unsigned int *pending, unsigned int *failed)
{
	CHECK(handle);
	*corrected = 1;
	*uncorrected = 2;
	*pending = 1;
	*failed = 0;
	return OK;
}

EXPORT int nvmlDeviceGetTotalEccErrors(device *handle, int kind, int counter, unsigned long long *count)
{
	CHECK(handle);
	if (counter)
		return INVALID;
	*count = kind ? 3 : 40;
	return OK;
}

EXPORT int nvmlDeviceGetNvLinkState(device *handle, unsigned int link, unsigned int *up)
{
	CHECK(handle);
	if (link > 3)
		return INVALID;
	*up = link != 1;
	return OK;
}

EXPORT int nvmlDeviceGetNvLinkErrorCounter(device *handle, unsigned int link, int counter,
                                           unsigned long long *count)
{
	CHECK(handle);
	*count = link * 10 + (unsigned int) counter;
	return OK;
}

EXPORT int nvmlDeviceGetMigMode(device *handle, unsigned int *now, unsigned int *pending)
{
	CHECK(handle);
	*now = *pending = 0;
	return OK;
}

EXPORT int nvmlEventSetCreate(void **events)
{
	*events = &the_events;
	return OK;
}

EXPORT int nvmlEventSetFree(void *events)
{
	return events == &the_events ? OK : INVALID;
}

EXPORT int nvmlDeviceRegisterEvents(device *handle, unsigned long long types, void *events)
{
	CHECK(handle);
	if (types != 8 || events != &the_events)
		return INVALID;
	registered = 1;
	return OK;
}

EXPORT int nvmlEventSetWait_v2(void *events, struct event *event, unsigned int timeout_ms)
{
	if (events != &the_events || !registered || timeout_ms)
		return INVALID;
	if (events_told == 2)
		return TIMEOUT;
	memset(event, 0, sizeof(*event));
	event->device = (device *) &the_device;
	event->type = 8;
	event->data = events_told++ ? 31 : 48;
	return OK;
}
