// Owns: the pod's own deadline (rule K4): the word that the keeper writes and this init reads, and the timer on it. It
// asks nobody and touches no file, so neither a stuck keeper nor a stuck disk can hold it up. It must not know what is
// stopped or killed, nor leases.
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

static const int64_t kill_margin = STINT_DEADLINE_MARGIN_MS * INT64_C(1000000);
static const int64_t look_interval = STINT_DEADLINE_LOOK_MS * INT64_C(1000000);

static const int64_t *deadline_word;
static int timer = -1;
static int64_t armed = STINT_NO_DEADLINE;

int64_t *stint_deadlines_map(int table, uint32_t count) {
  void *words = mmap(NULL, count * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, table, 0);
  return words != MAP_FAILED ? words : NULL;
}

int stint_deadlines_make(uint32_t count) {
  int table = memfd_create("stint-deadlines", MFD_CLOEXEC);
  if (table < 0 || ftruncate(table, (off_t)(count * sizeof(int64_t))) == 0) return table;
  close(table);
  return -1;
}

void stint_deadline_set(int64_t *word, int64_t boottime_nanoseconds) {
  __atomic_store_n(word, boottime_nanoseconds, __ATOMIC_SEQ_CST);
}

static void arm(int64_t when) {
  struct itimerspec strike;
  memset(&strike, 0, sizeof strike);
  // A zero time would disarm the timer, which is right only for no deadline at all.
  if (when < 1) when = 1;
  if (when != STINT_NO_DEADLINE) {
    strike.it_value.tv_sec = (time_t)(when / 1000000000);
    strike.it_value.tv_nsec = (long)(when % 1000000000);
  }
  // Without its timer nothing would hold the pod.
  if (stint_call(SYS_timerfd_settime, timer, TFD_TIMER_ABSTIME, (long)&strike, 0, 0) != 0) _exit(125);
  armed = when;
}

static int64_t boot_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// The timer is never further ahead than the interval: a word that comes nearer while we sleep is read within it. `now`
// was taken before the word was read, so whoever wrote a nearer one at T after that reading finds us armed by
// T + interval.
static void arm_ahead(int64_t end, int64_t now) {
  int64_t look = now + look_interval;
  arm(end == STINT_NO_DEADLINE || end < look ? end : look);
}

int stint_deadline_begin(const int64_t *word) {
  deadline_word = word;
  timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (timer < 0) _exit(125);
  int64_t now = boot_time();
  arm_ahead(__atomic_load_n(word, __ATOMIC_SEQ_CST), now);
  return timer;
}

enum stint_deadline_state stint_deadline_look(void) {
  int64_t now = boot_time();
  int64_t end = __atomic_load_n(deadline_word, __ATOMIC_SEQ_CST);
  if (end == STINT_NO_DEADLINE || now < end) {
    // A renewal only writes the word: the timer follows when it has struck, or when the word came nearer.
    if (armed <= now || end < armed) arm_ahead(end, now);
    return STINT_DEADLINE_AHEAD;
  }
  // No overflow: `end` is at most `now` here.
  if (now >= end + kill_margin) return STINT_DEADLINE_MARGIN_OVER;
  if (armed != end + kill_margin) arm(end + kill_margin);
  return STINT_DEADLINE_OVER;
}
