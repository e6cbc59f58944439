// What the pod's C files share. Not for Swift.
#ifndef STINT_POD_H
#define STINT_POD_H

#include <sys/stat.h>

#include "CLinux.h"

// One container's start: the plan as parsed, and how far it came. Shared with the child until it execs.
struct container_start {
  char **arguments;
  char **environment;
  const char *directory;
  const struct stint_plan *plan;
  const char *groups;     // plan->group_count uint32_t, unaligned
  const char *operations; // the packed operations
  const char *end;
  int streams[2];
  ino_t mount_namespace;
  volatile int error; // errno of the stage that failed, 0 when it reached exec
  volatile int stage;
  char detail[STINT_DETAIL_LIMIT];
};

// Never returns: the pod's PID 1. `under_bubblewrap`: bubblewrap made the namespaces, so the keeper needs our pidfd.
_Noreturn void stint_pod_init(int under_bubblewrap);

// Parses `bytes` (kept by the caller until the container has started) and starts the container. Its pid, or -1 with
// start->error, stage and detail. `pointers` has room for all strings' pointers.
pid_t stint_container_start(struct container_start *start, const char *bytes, size_t length, char **pointers,
                            size_t pointer_room);

// Runs the packed operations; 0, or -1 with errno and a description in `detail`.
int stint_mounts_run(const char *operations, const char *end, uint32_t count, char *detail, size_t room);

// The string at *cursor, which moves past it; NULL when it is not NUL-terminated before `end`.
const char *stint_take_string(const char **cursor, const char *end);

#endif
