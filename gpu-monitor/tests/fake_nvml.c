/* A driver library without a driver: libnvidia-ml.so.1 that answers from the text file named by FAKE_NVML_FIGURES.
 *
 * The file is read afresh at every call. Its lines:
 *   device INDEX TOTAL_BYTES USED_BYTES UTILISATION_PERCENT TEMPERATURE_CELSIUS POWER_MILLIWATTS
 *   process DEVICE_INDEX compute|graphics PID BYTES
 *   fail FUNCTION RETURN_CODE [DEVICE_INDEX]
 *   hang FUNCTION MILLISECONDS
 * A device's -1 is answered with "not supported", a process's -1 with "value not available".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
enum { MAX_DEVICES = 16, ANY_DEVICE = -1 };

typedef struct { int index; } Handle;
typedef struct { long long total, used, utilisation, temperature, power; } Figures;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilisation;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } ProcessInfo;

static Handle handles[MAX_DEVICES];
static int open_sessions;

static FILE *script(void) {
    const char *path = getenv("FAKE_NVML_FIGURES");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) {
        fprintf(stderr, "fake_nvml: FAKE_NVML_FIGURES names no readable file\n");
        abort();
    }
    return file;
}

/* The scripted return code of FUNCTION; a scripted hang happens first. */
static int outcome(const char *function, int device) {
    char line[256], name[96];
    int code, result = SUCCESS;
    FILE *file = script();
    while (fgets(line, sizeof line, file)) {
        int only = ANY_DEVICE;
        if (sscanf(line, "fail %95s %d %d", name, &code, &only) >= 2 && !strcmp(name, function))
            if (only == ANY_DEVICE || only == device) result = code;
        if (sscanf(line, "hang %95s %d", name, &code) == 2 && !strcmp(name, function)) usleep((useconds_t)code * 1000);
    }
    fclose(file);
    if (result == SUCCESS && !open_sessions && strcmp(function, "nvmlInitWithFlags")) return UNINITIALIZED;
    return result;
}

static int figures_of(int wanted, Figures *figures) {
    char line[256];
    int index, count = 0;
    Figures read;
    FILE *file = script();
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "device %d %lld %lld %lld %lld %lld", &index, &read.total, &read.used, &read.utilisation,
                   &read.temperature, &read.power) == 6) {
            count++;
            if (index == wanted && figures) *figures = read;
        }
    fclose(file);
    return count;
}

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    int result = outcome("nvmlInitWithFlags", ANY_DEVICE);
    if (result == SUCCESS) open_sessions++;
    return result;
}

int nvmlShutdown(void) {
    int result = outcome("nvmlShutdown", ANY_DEVICE);
    if (open_sessions) open_sessions--;
    return result;
}

const char *nvmlErrorString(int result) {
    static char text[32];
    snprintf(text, sizeof text, "fake error %d", result);
    return text;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    snprintf(version, length, "999.01");
    return outcome("nvmlSystemGetDriverVersion", ANY_DEVICE);
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = (unsigned int)figures_of(ANY_DEVICE, NULL);
    return outcome("nvmlDeviceGetCount_v2", ANY_DEVICE);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Handle **handle) {
    if (index >= MAX_DEVICES) return INVALID_ARGUMENT;
    handles[index].index = (int)index;
    *handle = &handles[index];
    return outcome("nvmlDeviceGetHandleByIndex_v2", (int)index);
}

int nvmlDeviceGetUUID(Handle *handle, char *uuid, unsigned int length) {
    snprintf(uuid, length, "GPU-fake-%d", handle->index);
    return outcome("nvmlDeviceGetUUID", handle->index);
}

int nvmlDeviceGetName(Handle *handle, char *name, unsigned int length) {
    snprintf(name, length, "Fake GPU %d", handle->index);
    return outcome("nvmlDeviceGetName", handle->index);
}

int nvmlDeviceGetMemoryInfo(Handle *handle, Memory *memory) {
    Figures figures;
    figures_of(handle->index, &figures);
    if (figures.total < 0) return NOT_SUPPORTED;
    memory->total = (unsigned long long)figures.total;
    memory->used = (unsigned long long)figures.used;
    memory->free = memory->total - memory->used;
    return outcome("nvmlDeviceGetMemoryInfo", handle->index);
}

int nvmlDeviceGetUtilizationRates(Handle *handle, Utilisation *rates) {
    Figures figures;
    figures_of(handle->index, &figures);
    if (figures.utilisation < 0) return NOT_SUPPORTED;
    rates->gpu = (unsigned int)figures.utilisation;
    return outcome("nvmlDeviceGetUtilizationRates", handle->index);
}

int nvmlDeviceGetTemperature(Handle *handle, int sensor, unsigned int *celsius) {
    Figures figures;
    (void)sensor;
    figures_of(handle->index, &figures);
    if (figures.temperature < 0) return NOT_SUPPORTED;
    *celsius = (unsigned int)figures.temperature;
    return outcome("nvmlDeviceGetTemperature", handle->index);
}

int nvmlDeviceGetPowerUsage(Handle *handle, unsigned int *milliwatts) {
    Figures figures;
    figures_of(handle->index, &figures);
    if (figures.power < 0) return NOT_SUPPORTED;
    *milliwatts = (unsigned int)figures.power;
    return outcome("nvmlDeviceGetPowerUsage", handle->index);
}

static int processes(Handle *handle, const char *kind, unsigned int *count, ProcessInfo *infos) {
    char line[256], read_kind[16];
    int device;
    unsigned int pid, room = *count, found = 0;
    long long used;
    FILE *file = script();
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "process %d %15s %u %lld", &device, read_kind, &pid, &used) == 4 && device == handle->index &&
            !strcmp(read_kind, kind)) {
            if (infos && found < room) infos[found] = (ProcessInfo){pid, (unsigned long long)used, ~0u, ~0u};
            found++;
        }
    fclose(file);
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Handle *handle, unsigned int *count, ProcessInfo *infos) {
    int result = outcome("nvmlDeviceGetComputeRunningProcesses_v3", handle->index);
    return result ? result : processes(handle, "compute", count, infos);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Handle *handle, unsigned int *count, ProcessInfo *infos) {
    int result = outcome("nvmlDeviceGetGraphicsRunningProcesses_v3", handle->index);
    return result ? result : processes(handle, "graphics", count, infos);
}
