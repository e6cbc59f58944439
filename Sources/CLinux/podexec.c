// Owns: the start of a process in a container that runs: joining its namespaces, its streams or its terminal. Runs in
// the pod init and, from the fork on, in a child that shares nothing with it: containers' processes can see the child
// before it is one of theirs, so it must hold nothing that is not for them. It must not know who wants it. No malloc.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

enum { WORDS = 3, TARGET = 4, USERS = 5 };

// The container's mounts, host name and IPC. A host's program may have the last two of the host, which only root joins:
// the init, whose child we are, has the same then.
static int join(const struct container_start *start) {
  const struct stint_plan *plan = start->plan;
  // First: whatever the container has made of its mounts, it meets no one of the host's in them.
  if (start->users >= 0 && stint_users_enter(USERS) != 0) return -1;
  if (syscall(SYS_setns, TARGET, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) == 0) return 0;
  if (errno != EPERM) return -1;
  int own = CLONE_NEWNS;
  if (plan->flags & STINT_PLAN_POD_UTS) own |= CLONE_NEWUTS;
  if (plan->flags & STINT_PLAN_POD_IPC) own |= CLONE_NEWIPC;
  return (int)syscall(SYS_setns, TARGET, own);
}

int stint_take_terminal(const struct stint_plan *plan) {
  int locked = 0;
  struct winsize size = {.ws_row = plan->rows, .ws_col = plan->columns};
  struct stint_message message = {STINT_TERMINAL, 0, 0, 0};
  int other = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (other < 0 || ioctl(other, TIOCSPTLCK, &locked) != 0 || ioctl(other, TIOCSWINSZ, &size) != 0) return -1;
  int terminal = ioctl(other, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return -1;
  // Its user may open it by name. A user namespace may not know it: then it has what it inherits.
  if (plan->user >= 0) (void)!fchown(terminal, (uid_t)plan->user, (gid_t)-1);
  if (stint_message_send(STDIN_FILENO, &message, NULL, 0, &other, 1) < 0) return -1;
  for (int stream = 0; stream < STINT_STREAMS; stream++)
    if (dup2(terminal, stream) < 0) return -1;
  close(terminal);
  close(other);
  return ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}

static int exec_main(const struct container_start *start, int target) {
  struct container_word word;
  const struct stint_plan *plan = start->plan;
  stint_start_own(start);
  int has_terminal = (plan->flags & STINT_PLAN_TERMINAL) != 0;
  memset(&word, 0, sizeof word);
  // Ours alone from here on: whoever runs in the container as the same user may not look in before the command runs.
  prctl(PR_SET_DUMPABLE, 0);
  if (dup3(start->words, WORDS, O_CLOEXEC) < 0 || dup3(target, TARGET, O_CLOEXEC) < 0) return 127;
  for (int stream = 0; stream < (has_terminal ? 1 : STINT_STREAMS); stream++)
    if (dup2(start->streams[stream], stream) < 0)
      return stint_start_fail(WORDS, &word, STINT_STAGE_STREAMS, "standard streams");
  if (start->users >= 0 && dup3(start->users, USERS, O_CLOEXEC) < 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_USERS, "the pod's user namespace");
  if (close_range(start->users >= 0 ? USERS + 1 : TARGET + 1, ~0U, 0) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_STREAMS, "standard streams");
  setsid();
  // By the paths of the host, whose mounts we still have.
  if (stint_start_enter(start, word.detail, sizeof word.detail) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_CGROUP, NULL);
  stint_start_score(plan->oom_score_adjust);
  if (join(start) != 0) return stint_start_fail(WORDS, &word, STINT_STAGE_JOIN, "the container's namespaces");
  close(TARGET);
  if (chdir(*start->directory != 0 ? start->directory : "/") != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_DIRECTORY, start->directory);
  if (has_terminal && stint_take_terminal(plan) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_TERMINAL, "terminal");
  return stint_start_command(start, WORDS, &word);
}

long stint_processes_enter(int target) {
  long self = stint_call(SYS_pidfd_open, 1, 0, 0, 0, 0);
  if (self < 0) return self;
  long result = stint_call(SYS_setns, target, CLONE_NEWPID, 0, 0, 0);
  if (result == 0) return self;
  stint_close((int)self);
  return result;
}

void stint_processes_leave(int self) {
  if (stint_call(SYS_setns, self, CLONE_NEWPID, 0, 0, 0) != 0) _exit(125);
  stint_close(self);
}

// A child in the PID namespace of the container's, or in the pod's. Raw calls: a container's start may be using errno.
static long fork_into(const struct container_start *start, int target) {
  int is_elsewhere = (start->plan->flags & STINT_PLAN_OWN_PROCESSES) != 0;
  long self = is_elsewhere ? stint_processes_enter(target) : -1;
  if (is_elsewhere && self < 0) return self;
  long pid = stint_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(exec_main(start, target));
  if (is_elsewhere) stint_processes_leave((int)self);
  return pid;
}

long stint_exec_start(struct container_start *start, const char *bytes, size_t length, char **pointers,
                      size_t pointer_room, pid_t container, int *words, int *stage) {
  int ends[2];
  *stage = STINT_STAGE_PLAN;
  if (stint_start_parse(start, bytes, length, pointers, pointer_room) != 0) return -EINVAL;
  *stage = STINT_STAGE_JOIN;
  long target = stint_call(SYS_pidfd_open, container, 0, 0, 0, 0);
  if (target < 0) return target;
  *stage = STINT_STAGE_CLONE;
  long result = stint_call(SYS_pipe2, (long)ends, O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
  if (result == 0) {
    start->words = ends[1];
    if (start->plan->first_user != 0) start->users = stint_users();
    result = fork_into(start, (int)target);
    stint_close(ends[1]);
    if (result > 0)
      *words = ends[0];
    else
      stint_close(ends[0]);
  }
  stint_close((int)target);
  return result;
}

int stint_terminal_hold(int terminal) { return ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC); }

int stint_terminal_resize(int terminal, uint16_t columns, uint16_t rows) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  return ioctl(terminal, TIOCSWINSZ, &size);
}
