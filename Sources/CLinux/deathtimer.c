// Owns: rule K4's kernel timer, which ends a keeper that is itself stopped or starved past its earliest deadline.
// It must not know what the deadline is for.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "CLinux.h"

// One timer a process, made on first use. POSIX timers are not inherited by fork, so a pod init never carries it.
static timer_t death_timer;
static int have_death_timer;

int stint_death_timer_arm(int64_t boottime_nanoseconds) {
  if (!have_death_timer) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGKILL;
    if (timer_create(CLOCK_BOOTTIME, &event, &death_timer) != 0) return -1;
    have_death_timer = 1;
  }
  // A zero time would disarm the timer: the earliest moment stands for every moment before it.
  if (boottime_nanoseconds < 1) boottime_nanoseconds = 1;
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  when.it_value.tv_sec = (time_t)(boottime_nanoseconds / 1000000000);
  when.it_value.tv_nsec = (long)(boottime_nanoseconds % 1000000000);
  return timer_settime(death_timer, TIMER_ABSTIME, &when, NULL);
}

int stint_death_timer_disarm(void) {
  if (!have_death_timer) return 0;
  struct itimerspec never;
  memset(&never, 0, sizeof never);
  return timer_settime(death_timer, 0, &never, NULL);
}
