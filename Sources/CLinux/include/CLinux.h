// The few calls that Swift cannot make: Linux calls whose headers Swift's Glibc module lacks (linux.c), the kernel
// timer that ends a stopped keeper (deathtimer.c), what tells a directory from its copies (identity.c), and the pod
// init with its containers (CLinuxPod.h). Declarations only.
#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include "CLinuxPod.h"

// accept4 with SOCK_NONBLOCK | SOCK_CLOEXEC; the new descriptor, or -1 and errno.
int stint_accept(int listener);

// The process at the other end of a unix socket: the one that connected, or that listens (SO_PEERCRED); 0: not known.
pid_t stint_peer_process(int socket);

// pidfd_open; the descriptor, or -1 and errno.
int stint_pidfd_open(pid_t pid);

// pidfd_send_signal; 0, or -1 and errno.
int stint_pidfd_signal(int pidfd, int signo);

// Reaps the child of `pidfd` without waiting. 1 and *status (as waitpid's) when it was reaped, 0 when it still runs,
// -1 and errno.
int stint_pidfd_reap(int pidfd, int *status);

// Opens a directory with O_PATH, as a handle for paths below it; the descriptor, or -1 and errno.
int stint_open_directory(const char *path);

// A file in memory that only its descriptor names, close-on-exec; or -1 and errno.
int stint_memory_file(const char *name);

// Opens whatever has this name with O_PATH, links not followed: it touches no device and waits for no pipe; the
// descriptor, or -1 and errno. `directory` may be AT_FDCWD.
int stint_open_handle(int directory, const char *name);

// Opens a directory in `directory` for reading, links not followed, mount points not entered (EXDEV); the descriptor,
// or -1 and errno.
int stint_open_entry(int directory, const char *name);

// What tells a directory from every copy of it.
struct stint_identity {
  uint64_t device;
  uint64_t inode;
  int64_t birth;              // wall nanoseconds; 0 where the file system keeps none. No tool can set it.
  unsigned char handle[128];  // the kernel's file handle: holds the inode's generation
  int handle_length;          // 0 where there is none
};

// Identifies what `path` leads to; 0, or -1 and errno.
int stint_identify(const char *path, struct stint_identity *identity);

// The flags of posix_spawnattr_setflags: signal mask, signal defaults and, when asked for, a session of its own.
short stint_spawn_flags(int new_session);

// posix_spawn_file_actions_addchdir_np.
int stint_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path);

// Takes the marks "immutable" and "append only" off an open file or directory, where it has them; 0, or -1 and errno.
int stint_clear_marks(int descriptor);

// Free bytes for unprivileged users and total bytes of the file system at `path`; 0, or -1 and errno.
int stint_filesystem_space(const char *path, uint64_t *available, uint64_t *total);

// The same of inodes; a file system that makes them as it needs them has a total of 0.
int stint_filesystem_inodes(const char *path, uint64_t *available, uint64_t *total);

// The most bytes and inodes that unprivileged users could ever find free there; 0, or -1 and errno.
int stint_filesystem_most(const char *path, uint64_t *bytes, uint64_t *inodes);

// Gives the open file blocks for its first `bytes`, its size left as it is; 0, or -1 and errno.
int stint_keep_blocks(int descriptor, uint64_t bytes);

// Names the calling thread (at most 15 bytes are kept).
void stint_name_thread(const char *name);

// 1 where the open directory has no entries, 0 where it has some; -1 and errno.
int stint_is_empty_directory(int directory);

// The names of the open file's extended attributes, each with a NUL; how many bytes, or -1 and errno.
ssize_t stint_attribute_names(int file, char *names, size_t room);

// Whether the kernel holds its clock to be kept right by somebody (NTP): 1 or 0, and by how much it may be wrong; -1 and
// errno where it does not say.
int stint_clock_state(int64_t *error_microseconds);

// The calling thread's id, by which /proc/PID/task knows it.
pid_t stint_thread_id(void);

// Processors that this process may run on, at least 1.
int stint_usable_processors(void);

// Makes orphans below this process its children (PR_SET_CHILD_SUBREAPER); 0, or -1 and errno.
int stint_become_subreaper(void);

// A pipe, closed on exec, whose reading end does not block; 0, or -1 and errno.
int stint_output_pipe(int ends[2]);

// 1 where this process' program lies on a read-only mount, so that nobody changes it by /proc/PID/exe: 0 if not.
int stint_is_sealed(void);

// Executes this process' program anew from a read-only mount that only this process has (Linux 5.12, root): containers,
// which begin as clones of it, could else change the file by /proc/self/exe (CVE-2019-5736). Returns only on an error:
// -1 and errno.
int stint_seal(char *const arguments[]);

// 0 where the way to `path` leads through one of the links in /proc (cwd, root, exe, fd) that reach what no name does,
// or through too many links; else 1, whether it is there or not.
int stint_is_plain(const char *path);

// Makes the directory (or empty file) `path` below `directory`, with its parents, unless it is there; directories get
// `mode`. Follows no symbolic link: whoever writes in `directory` cannot lead it elsewhere. 0, or -1 and errno.
int stint_make_below(const char *directory, const char *path, int is_directory, uint32_t mode);

// Who the calling thread was before stint_act_as.
struct stint_actor {
  int32_t group_count;
  uint32_t groups[64];
};

// From here on the kernel judges what the calling thread looks up and makes in file systems as if `user` with `group`
// and `groups` (at most 64) did it, and gives them what is made. Of this thread alone, and for root only: it keeps its
// other rights. 0, or -1 and errno, and nothing has changed.
int stint_act_as(uint32_t user, uint32_t group, const uint32_t *groups, int group_count, struct stint_actor *former);

// The end of it. 0, or -1 and errno.
int stint_act_as_before(const struct stint_actor *former);

// Gives free heap pages back and unmaps program text: what is used again is mapped again at its first use, what only
// the start needed is not. Text stays in the page cache, where the kernel shares and drops it as it likes.
void stint_release_memory(void);

// Arms (or re-arms) one timer of this process that sends it SIGKILL at `boottime_nanoseconds` of CLOCK_BOOTTIME, an
// absolute time; a past time kills at once. The kernel does it, so it works on a stopped process. 0, or -1 and errno.
int stint_death_timer_arm(int64_t boottime_nanoseconds);

// Disarms that timer. 0, or -1 and errno.
int stint_death_timer_disarm(void);

#endif
