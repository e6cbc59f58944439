// The seccomp profile that container runtimes apply by default, compiled by libseccomp, once for each set of
// capabilities that changes it. What is not named is refused with EPERM, as there. Knows no containers.

import CLinux
import CSeccomp
import ClusterIO
import Glibc
import Synchronization

/// Compiled filters.
enum SeccompFilters {
  private static let compiled = Mutex<[UInt64: [UInt8]]>([:])
  /// The capabilities that open system calls, by the kernel's numbers.
  private static let byCapability: [(capability: UInt64, calls: String)] = [
    (2, "open_by_handle_at"), (16, "delete_module init_module finit_module"),
    (17, "iopl ioperm"), (18, "chroot"),
    (19, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    (20, "acct"),
    (
      21,
      "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
        + "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
    ), (22, "reboot"), (23, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (25, "settimeofday stime clock_settime clock_settime64"), (26, "vhangup"), (34, "syslog"), (38, "perf_event_open"),
    (39, "bpf"),
  ]
  private static let always = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime \
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 \
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 \
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat \
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait \
    futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid \
    getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom \
    getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt \
    get_thread_area gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 \
    inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get \
    ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown \
    lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 \
    madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
    mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
    mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap \
    name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe \
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 \
    process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv \
    recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall \
    rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max \
    sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity \
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop \
    semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid \
    setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid \
    setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address \
    setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn \
    socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs \
    sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill \
    truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice \
    wait4 waitid waitpid write writev arch_prctl modify_ldt ptrace process_vm_readv process_vm_writev
    """
  private static let allow: UInt32 = 0x7FFF_0000
  private static func refuse(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) }
  /// New namespaces, in clone's flags.
  private static let namespaces: UInt64 = 0x7E02_0000
  private static let longest = 4_096 * 8
  private static let vsockFamily: UInt64 = 40
  private static let sysAdmin: UInt64 = 21

  /// The default profile for a container that may have `capabilities`, as `struct sock_filter` each. Throws where
  /// libseccomp fails: that container must not start.
  static func runtimeDefault(capabilities: UInt64) throws(IOError) -> [UInt8] {
    let relevant = byCapability.reduce(UInt64(0)) { $0 | (1 << $1.capability) } & capabilities
    if let filter = compiled.withLock({ $0[relevant] }) { return filter }
    let filter = try compile(capabilities: relevant)
    compiled.withLock { $0[relevant] = filter }
    return filter
  }

  private static func compile(capabilities: UInt64) throws(IOError) -> [UInt8] {
    guard let context = seccomp_init(refuse(EPERM)) else { throw failure(ENOMEM) }
    defer { seccomp_release(context) }
    // The container may run programs of the processor's other modes, and no_new_privs is the plan's to set.
    _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0)
    _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    #if arch(x86_64)
      _ = seccomp_arch_add(context, 0x4000_0003)
    #endif
    for name in always.split(whereSeparator: { $0 == " " || $0 == "\n" }) { add(context, name) }
    for (capability, calls) in byCapability where capabilities >> capability & 1 != 0 {
      for name in calls.split(separator: " ") { add(context, name) }
    }
    addConditional(context, mayMakeNamespaces: capabilities >> sysAdmin & 1 != 0)
    return try export(context)
  }

  private static func add(_ context: scmp_filter_ctx, _ name: Substring) {
    let number = seccomp_syscall_resolve_name(String(name))
    // Unknown to this libseccomp, hence refused.
    if number != -1 { _ = seccomp_rule_add_array(context, allow, number, 0, nil) }
  }

  private static func addConditional(_ context: scmp_filter_ctx, mayMakeNamespaces: Bool) {
    func add(_ name: String, action: UInt32 = allow, _ arguments: [scmp_arg_cmp]) {
      let number = seccomp_syscall_resolve_name(name)
      if number != -1 { _ = seccomp_rule_add_array(context, action, number, UInt32(arguments.count), arguments) }
    }
    for value: UInt64 in [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF] {
      add("personality", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)])
    }
    add("socket", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_NE, datum_a: vsockFamily, datum_b: 0)])
    guard !mayMakeNamespaces else { return }
    add("clone", [scmp_arg_cmp(arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: namespaces, datum_b: 0)])
    // Its flags lie in memory that a filter cannot see: whoever hears that there is no such call uses clone.
    add("clone3", action: refuse(ENOSYS), [])
  }

  /// A filter as the kernel takes it.
  static func export(_ context: scmp_filter_ctx) throws(IOError) -> [UInt8] {
    let file = stint_memory_file("stint-seccomp")
    guard file >= 0 else { throw failure(errno) }
    defer { close(file) }
    let result = seccomp_export_bpf(context, file)
    guard result == 0 else { throw failure(-result) }
    // The kernel takes 4,096 instructions of eight bytes.
    var bytes = [UInt8](repeating: 0, count: longest + 1)
    let count = pread(file, &bytes, bytes.count, 0)
    guard count > 0 else { throw failure(EIO) }
    guard count <= longest else { throw failure(E2BIG) }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  private static func failure(_ code: Int32) -> IOError {
    IOError(code: code, operation: "make", subject: "the seccomp filter")
  }
}
