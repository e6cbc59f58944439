// What the pod's C files share. Not for Swift.
#ifndef STINT_POD_H
#define STINT_POD_H

#include <sys/stat.h>

#include "CLinux.h"

// What a container's child says of its start, through a pipe that its exec closes: first its namespace (with no error),
// then, unless it reached its command, what failed.
struct container_word {
  ino_t mount_namespace;
  int32_t error; // errno of the stage that failed
  int32_t stage;
  char detail[STINT_DETAIL_LIMIT];
};

// One start: the plan as parsed. A container's child uses it, and the plan, until its words end.
struct container_start {
  char **arguments;
  char **environment;
  const char *directory;
  const struct stint_plan *plan;
  const char *cgroups;    // plan->cgroup_count strings
  const char *groups;     // plan->group_count uint32_t, unaligned
  const char *filter;     // plan->filter_length bytes
  const char *operations; // the packed operations
  const char *end;
  int streams[STINT_STREAMS];
  int words; // the child's end of the pipe for its words
  int users; // the user namespace that it enters; -1: it stays in the host's
};

// Never returns: the pod's PID 1. `under_bubblewrap`: bubblewrap made the namespaces, so the keeper needs our pidfd.
_Noreturn void stint_pod_init(int under_bubblewrap, const int64_t *deadline, const char *name);

// Parses `bytes` and begins the container's start in a child of its own, without waiting for it: its mounts and its
// command may lie on a disk that hangs. The child shares our memory and the C library's errno until its words end: until
// then no other start may begin, `bytes` and `pointers` stay, and the init makes its system calls by podcalls.h. The
// child's pid, and in *words the descriptor to read its words from; or -1 with errno and *stage. `pointers` has room for
// all strings' pointers. `target`: a process among whose own it starts, or 0; its child has a memory of its own then.
pid_t stint_container_start(struct container_start *start, const char *bytes, size_t length, char **pointers,
                            size_t pointer_room, pid_t target, int *words, int *stage);

// Enters the PID namespace of a process for what is cloned next; a descriptor to leave it with, or a negative errno.
// What would be cloned without leaving it again is a container's: an init that cannot leave it ends.
long stint_processes_enter(int target);
void stint_processes_leave(int self);

// Parses `bytes` and starts a process in the container whose main process is `container`, by a child with a memory of
// its own: any number may be on their way. As stint_container_start else, with a negative errno as the result.
long stint_exec_start(struct container_start *start, const char *bytes, size_t length, char **pointers,
                      size_t pointer_room, pid_t container, int *words, int *stage);

// From here on the process is held to the container's limits, whatever it becomes. 0, or -1 with errno and the file in
// `detail`.
int stint_start_enter(const struct container_start *start, char *detail, size_t room);

// Pipes among its streams become its user's, so that it may open them by name (/dev/stderr). Where they are not ours to
// give they stay as they are.
void stint_start_own(const struct container_start *start);

// What both starts share. The first: 0, or -1 where the plan is none. The second adjusts the caller's oom score. The
// third takes the plan's user and runs its command; it comes back where that cannot be, having said so. The last says
// what failed, by errno, and gives an exit code; `detail` NULL: `word` has it.
int stint_start_parse(struct container_start *start, const char *bytes, size_t length, char **pointers, size_t room);
void stint_start_score(int32_t adjust);
int stint_start_command(const struct container_start *start, int words, struct container_word *word);
int stint_start_fail(int words, struct container_word *word, int stage, const char *detail);

// A terminal of the container's own /dev, so that it has a name there, as the caller's streams and as that of its session.
// Its other end goes out by the socket that is standard input. 0, or -1 with errno.
int stint_take_terminal(const struct stint_plan *plan);

// As stint_message_send and _receive, but with a negative errno as the result.
long stint_packet_send(int socket, const struct stint_message *header, const void *payload, size_t length,
                       const int *descriptors, int count);
long stint_packet_receive(int socket, struct stint_message *header, void *payload, size_t room,
                          int descriptors[STINT_STREAMS]);

// Walks the pod's processes. With a namespace: kills those in it, how many there were. With 0: counts the running ones.
// -1: they cannot be seen.
int stint_pod_walk(ino_t mount_namespace);

// The pod's own /proc, opened when first needed: a pod with one container never needs it. -1: there is none.
int stint_pod_proc(void);

// Makes the pod's user namespace, whose ids from 0 on are the host's from `first` on, STINT_USER_COUNT of them, and what
// `others` (CLONE_NEW*) names, owned by it, which the init is in from then on. 0, or -1 and errno.
int stint_users_make(uint32_t first, int others);

// The pod's user namespace; -1: it has the host's.
int stint_users(void);

// The caller becomes root of that user namespace, and nobody outside of it. There is no way back. 0, or -1 and errno.
int stint_users_enter(int namespace);

// Files of a detached mount are shown with that namespace's ids in place of their own: its root's are those of 0.
// 0, or -1 and errno.
int stint_users_show(int namespace, int tree);

// Kills every process of a session but its leader, by whose id in the pod it is known; how many of them were running.
int stint_pod_end_session(int session);

// Sends a report to the keeper, now or when there is room for it. Never waits.
void stint_report(uint32_t type, uint32_t slot, int32_t value, int32_t extra, const char *detail);

// Sends what waits; whether some still does: then again once the socket has room.
int stint_reports_flush(void);

enum stint_deadline_state { STINT_DEADLINE_AHEAD, STINT_DEADLINE_OVER, STINT_DEADLINE_MARGIN_OVER };

// Arms this process' timer on the keeper's word; the descriptor that becomes readable when it strikes.
int stint_deadline_begin(const int64_t *word);

// Where the deadline is now; the timer stands on what comes next. A timer that has struck is not read: looking again
// sets it anew.
enum stint_deadline_state stint_deadline_look(void);

// Runs the start's packed operations; 0, or -1 with errno and a description in `detail`.
int stint_mounts_run(const struct container_start *start, char *detail, size_t room);

// The plan's groups, at most 64; -1 with errno where there are more.
int stint_plan_groups(const struct container_start *start, uint32_t groups[64]);

// The string at *cursor, which moves past it; NULL when it is not NUL-terminated before `end`.
const char *stint_take_string(const char **cursor, const char *end);

#endif
