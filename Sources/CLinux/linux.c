// Owns: thin wrappers around Linux calls that Swift's Glibc module lacks. Knows nothing of pods or the cluster.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "CLinux.h"

int stint_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); }

pid_t stint_peer_process(int socket) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

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

int stint_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int stint_open_directory(const char *path) { return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); }

int stint_open_handle(int directory, const char *name) {
  return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int stint_open_entry(int directory, const char *name) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  int result = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
  // Older kernels and strict sandboxes do not know the call.
  if (result < 0 && (errno == ENOSYS || errno == EPERM)) result = openat(directory, name, (int)how.flags);
  return result;
}

int stint_is_empty_directory(int directory) {
  _Alignas(8) char entries[1024];
  if (lseek(directory, 0, SEEK_SET) != 0) return -1;
  long size = syscall(SYS_getdents64, directory, entries, sizeof entries);
  if (size < 0) return -1;
  for (long at = 0; at < size;) {
    struct dirent64 *entry = (struct dirent64 *)(entries + at);
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) return 0;
    at += entry->d_reclen;
  }
  return 1;
}

ssize_t stint_attribute_names(int file, char *names, size_t room) { return flistxattr(file, names, room); }

int stint_clock_state(int64_t *error_microseconds) {
  struct timex facts;
  memset(&facts, 0, sizeof facts);
  int state = adjtimex(&facts);
  if (state < 0) return -1;
  *error_microseconds = (int64_t)facts.maxerror;
  return state == TIME_ERROR || (facts.status & STA_UNSYNC) ? 0 : 1;
}

pid_t stint_thread_id(void) { return (pid_t)syscall(SYS_gettid); }

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

int stint_filesystem_inodes(const char *path, uint64_t *available, uint64_t *total) {
  struct statvfs facts;
  if (statvfs(path, &facts) != 0) return -1;
  *available = facts.f_favail;
  *total = facts.f_files;
  return 0;
}

int stint_filesystem_most(const char *path, uint64_t *bytes, uint64_t *inodes) {
  struct statvfs facts;
  if (statvfs(path, &facts) != 0) return -1;
  // What is free and not available is kept for root.
  uint64_t kept = facts.f_bfree > facts.f_bavail ? facts.f_bfree - facts.f_bavail : 0;
  uint64_t kept_inodes = facts.f_ffree > facts.f_favail ? facts.f_ffree - facts.f_favail : 0;
  *bytes = (uint64_t)(facts.f_blocks > kept ? facts.f_blocks - kept : 0) * facts.f_frsize;
  *inodes = facts.f_files > kept_inodes ? facts.f_files - kept_inodes : 0;
  return 0;
}

int stint_keep_blocks(int descriptor, uint64_t bytes) {
  return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
}

void stint_name_thread(const char *name) { prctl(PR_SET_NAME, name); }

int stint_usable_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

static int unmap_text(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size;
  (void)context;
  // The program itself has no name; the kernel's own page (linux-vdso) is no file.
  if (object->dlpi_name[0] != '\0' && object->dlpi_name[0] != '/') return 0;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    // Writable parts hold what relocation and we ourselves have written.
    if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0) continue;
    uintptr_t start = (object->dlpi_addr + part->p_vaddr + page - 1) & ~(page - 1);
    uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_filesz) & ~(page - 1);
    if (end > start) madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void stint_release_memory(void) {
  malloc_trim(0);
  dl_iterate_phdr(unmap_text, NULL);
}

int stint_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int stint_output_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

int stint_is_plain(const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int found = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (found >= 0) close(found);
  return found >= 0 || errno != ELOOP;
}

int stint_make_below(const char *directory, const char *path, int is_directory, uint32_t mode) {
  int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  while (at >= 0) {
    while (*path == '/') path++;
    size_t length = strcspn(path, "/");
    char name[256];
    if (length == 0 || length >= sizeof name) break;
    memcpy(name, path, length);
    name[length] = 0;
    path += length;
    int is_last = path[strspn(path, "/")] == 0;
    int result = is_last && !is_directory ? mknodat(at, name, S_IFREG | 0644, 0) : mkdirat(at, name, mode);
    int error = errno;
    // As asked for, whatever the umask; by the directory itself, since the name may be another's by now.
    int is_new_directory = result == 0 && (is_directory || !is_last);
    int made = is_new_directory ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (made >= 0) {
      fchmod(made, mode);
      close(made);
    }
    if ((result != 0 && error != EEXIST) || is_last) {
      close(at);
      errno = error;
      return result == 0 || error == EEXIST ? 0 : -1;
    }
    int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    error = errno;
    close(at);
    errno = error;
    at = next;
  }
  if (at >= 0) {
    close(at);
    errno = EINVAL;
  }
  return -1;
}
