// Owns: a machine's own wall clock, for machines that are namespaces: the programs of one load this (ld.so.preload),
// and what they are told of the time has the difference of the file /mnt/shared/clocks/HOSTNAME in it, eight bytes of
// seconds. It must not know who changes the file. Timers and file times stay the kernel's.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *difference;

__attribute__((constructor)) static void find(void) {
  char name[256], path[300];
  if (gethostname(name, sizeof name) != 0) return;
  snprintf(path, sizeof path, "/mnt/shared/clocks/%s", name);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *page = mmap(NULL, sizeof *difference, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (page != MAP_FAILED) difference = page;
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real ? real(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && difference && is_wall(clock)) time->tv_sec += *difference;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec time;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
  now->tv_sec = time.tv_sec;
  now->tv_usec = time.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
