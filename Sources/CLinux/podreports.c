// Owns: what a pod init has to tell its keeper and the socket has no room for yet, in order. Nothing here waits: a
// keeper that does not read (stopped, or stuck in the kernel) must not hold up the pod's deadline. No malloc.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pod.h"

// A slot can owe at most that it started and that it ended, before the keeper can use it again.
enum { REPORTS = 2 * STINT_PLACES + 64 };

static struct {
  struct stint_message message;
  char detail[STINT_DETAIL_LIMIT];
} waiting[REPORTS];
static unsigned first, count;

int stint_reports_flush(void) {
  for (; count > 0; count--, first = (first + 1) % REPORTS) {
    const char *detail = waiting[first].detail;
    long sent = stint_packet_send(STINT_POD_CONTROL, &waiting[first].message, detail, strlen(detail), NULL, 0);
    if (sent >= 0) continue;
    if (sent == -EAGAIN || sent == -EINTR || sent == -ENOBUFS || sent == -ENOMEM) return 1;
    // The keeper's end is closed: the pod goes.
    _exit(0);
  }
  first = 0;
  return 0;
}

void stint_report(uint32_t type, uint32_t slot, int32_t value, int32_t extra, const char *detail) {
  // More than all slots can owe: the keeper has lost its mind, and what it would not hear of must not go on.
  if (count == REPORTS) _exit(124);
  unsigned last = (first + count++) % REPORTS;
  waiting[last].message = (struct stint_message){type, slot, value, extra};
  size_t length = detail != NULL ? strnlen(detail, STINT_DETAIL_LIMIT - 1) : 0;
  if (length > 0) memcpy(waiting[last].detail, detail, length);
  waiting[last].detail[length] = 0;
  stint_reports_flush();
}
