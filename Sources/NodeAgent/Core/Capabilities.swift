// Capabilities by name, and which of them a container has: containerd's usual ones, the manifest's added and dropped.
// Numbers are the kernel's (linux/capability.h); their order here is their number.

import ClusterProto

/// Sets of capabilities as masks.
enum Capabilities {
  static let names = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
  ]

  /// What container runtimes give to whoever asks for nothing.
  static let usual = mask([
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
  ])

  static let all: UInt64 = (1 << UInt64(names.count)) - 1

  /// The container's set: `ALL` first, then single names, drops after additions of the other kind (kubelet's and
  /// containerd's order). Throws the first name that is no capability.
  static func mask(of security: SecuritySpec) throws(ImageUsers.Failure) -> UInt64 {
    if security.isPrivileged { return all }
    let (add, drop) = (security.addedCapabilities.map(bare), security.droppedCapabilities.map(bare))
    for name in add + drop where name != "ALL" && !names.contains(name) {
      throw ImageUsers.Failure(reason: "CreateContainerError", message: "unknown capability \"CAP_\(name)\"")
    }
    var result = usual
    if add.contains("ALL") { result = all }
    if drop.contains("ALL") { result = add.contains("ALL") ? all : 0 }
    result |= mask(add)
    return result & ~mask(drop)
  }

  private static func bare(_ name: String) -> String {
    let upper = name.uppercased()
    return upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
  }

  private static func mask(_ wanted: [String]) -> UInt64 {
    wanted.reduce(0) { result, name in
      names.firstIndex(of: name).map { result | 1 << UInt64($0) } ?? result
    }
  }
}
