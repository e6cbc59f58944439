// Owns: thin wrappers around Linux calls that Swift's Glibc module lacks. Knows nothing of pods or the cluster.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CLinux.h"

int stint_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

int stint_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int stint_pidfd_signal(int pidfd, int signo) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0); }

int stint_pidfd_reap(int pidfd, int *status) {
  siginfo_t info;
  info.si_pid = 0;
  if (waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED | WNOHANG) != 0) return -1;
  if (info.si_pid == 0) return 0;
  // waitid splits what waitpid packs: put the exit code or the signal back where the W* macros look.
  if (info.si_code == CLD_EXITED)
    *status = (info.si_status & 0xff) << 8;
  else
    *status = (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? 0x80 : 0);
  return 1;
}

int stint_open_directory(const char *path) { return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); }

short stint_spawn_flags(int new_session) {
  return (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (new_session ? POSIX_SPAWN_SETSID : 0));
}

int stint_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path) {
  return posix_spawn_file_actions_addchdir_np(actions, path);
}

int stint_filesystem_space(const char *path, uint64_t *available, uint64_t *total) {
  struct statvfs facts;
  if (statvfs(path, &facts) != 0) return -1;
  *available = (uint64_t)facts.f_bavail * facts.f_frsize;
  *total = (uint64_t)facts.f_blocks * facts.f_frsize;
  return 0;
}

void stint_name_thread(const char *name) { prctl(PR_SET_NAME, name); }

int stint_usable_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

int stint_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
