// Owns: the pod init's look at its own pod: which processes there are, which run, which belong to a container.
// It must not know why somebody asks. No malloc. Reads only the kernel's /proc, never a disk.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

static int proc_directory = -1;

int stint_pod_proc(void) {
  if (proc_directory >= 0) return proc_directory;
  int context = (int)stint_call(SYS_fsopen, (long)"proc", FSOPEN_CLOEXEC, 0, 0, 0);
  if (context >= 0) {
    if (stint_call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0) == 0)
      proc_directory = (int)stint_call(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0, 0, 0);
    stint_close(context);
  }
  // Under bubblewrap /proc is the pod's own already.
  if (proc_directory < 0) proc_directory = stint_open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return proc_directory;
}

// Whether the process runs: neither stopped nor dead. One that waits in the kernel (D) stops on its way out.
static int is_running(int proc, const char *pid) {
  char path[48] = {0}, text[512];
  strncat(path, pid, 20);
  strcat(path, "/stat");
  int file = stint_open_at(proc, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  long size = stint_read(file, text, sizeof text - 1);
  stint_close(file);
  if (size <= 0) return 0;
  text[size] = 0;
  // The command's name is in parentheses and may hold any byte: the state follows the last one.
  const char *after = strrchr(text, ')');
  if (after == NULL || after[1] == 0) return 0;
  return strchr("TtZXxD", after[2]) == NULL;
}

// The session of a process as its /proc tells it; -1 where there is none.
static int session_of(int proc, const char *pid) {
  char path[48] = {0}, text[512];
  strncat(path, pid, 20);
  strcat(path, "/stat");
  int file = stint_open_at(proc, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  long size = stint_read(file, text, sizeof text - 1);
  stint_close(file);
  if (size <= 0) return -1;
  text[size] = 0;
  const char *at = strrchr(text, ')');
  // Behind the name: state, parent, group, session.
  for (int field = 0; at != NULL && field < 4; field++) at = strchr(at + 1, ' ');
  return at == NULL ? -1 : atoi(at + 1);
}

static int is_of_namespace(int proc, const char *pid, ino_t mount_namespace) {
  char path[48] = {0};
  struct stat facts;
  strncat(path, pid, 20);
  strcat(path, "/ns/mnt");
  // A dead process has no namespace any more: fstatat fails.
  return stint_call(SYS_newfstatat, proc, (long)path, (long)&facts, 0, 0) == 0 && facts.st_ino == mount_namespace;
}

static int walk(ino_t mount_namespace, int session) {
  int proc = stint_pod_proc();
  int list = proc < 0 ? -1 : stint_open_at(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) return -1;
  static _Alignas(8) char entries[16384];
  int found = 0;
  long size;
  while ((size = stint_call(SYS_getdents64, list, (long)entries, sizeof entries, 0, 0)) > 0) {
    for (long at = 0; at < size;) {
      struct dirent64 *entry = (struct dirent64 *)(entries + at);
      at += entry->d_reclen;
      int pid = atoi(entry->d_name);
      if (pid <= 1) continue;
      if (session > 0) {
        // Its leader goes last: what is left then has made itself another one.
        if (pid == session || session_of(proc, entry->d_name) != session) continue;
        found += is_running(proc, entry->d_name);
        stint_kill(pid, SIGKILL);
      } else if (mount_namespace == 0) {
        found += is_running(proc, entry->d_name);
      } else if (is_of_namespace(proc, entry->d_name, mount_namespace)) {
        stint_kill(pid, SIGKILL);
        found++;
      }
    }
  }
  stint_close(list);
  return found;
}

int stint_pod_walk(ino_t mount_namespace) { return walk(mount_namespace, 0); }

int stint_pod_end_session(int session) { return walk(0, session); }
