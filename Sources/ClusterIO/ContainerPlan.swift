// Owns: what a container is to the pod init: a command, its user and its mounts, as plain data, and their encoding.
// It must not know volumes, images or manifests: the agent turns those into mount operations.

import CLinux
import ClusterProto
import Glibc

/// One step of making a container's file system, executed in its own mount namespace. Sources are the host's paths;
/// destinations are resolved inside the current root as the container would see it, symbolic links included. Making
/// files or directories outside a mount made by an earlier step fails with EROFS: nothing is made on the host.
package enum MountOperation: Hashable, Sendable {
  /// `source`, or what `below` names inside it (it may not lead out of it), with its submounts, on `destination`.
  /// `asUser`: looked up with the rights of the plan's user, so that a directory closed to it keeps it out.
  /// `noDevices`: device files in it open nothing. `shifted`: with `Confinement.firstUser` its files are the pod's own
  /// users', what 0 owns its root's; not those of what is mounted below it.
  case bind(
    source: String, below: String = "", destination: String, readOnly: Bool = false, asUser: Bool = false,
    noDevices: Bool = false, shifted: Bool = false)
  /// An empty tmpfs; options as mount's, such as `size=64m,mode=1777`.
  case tmpfs(destination: String, options: String = "")
  /// A directory with its parents, if it is not there.
  case makeDirectory(path: String, mode: UInt32 = 0o755)
  /// An empty file, if it is not there; its parents are made too.
  case makeFile(path: String, mode: UInt32 = 0o644)
  /// A symbolic link, if the path is not there.
  case symbolicLink(path: String, target: String)
  /// Keeps changes below `destination` in memory from here on; its content is `lower`'s, or its own when nil.
  case overlay(destination: String, lower: String? = nil)
  /// A tmpfs with each entry of `source` (at most 512) bound in: new entries stay in memory, old ones are the host's.
  case mirror(source: String, destination: String)
  /// Destinations are below this directory of the host from here on; it must be a mount point (a `mirror`).
  case newRoot(path: String)
  /// Makes the new root the container's root; the last step but `proc`.
  case pivot
  /// The pod's own /proc, or the container's. `PodProcess` adds it where it makes the namespaces itself and the plan
  /// does not say where.
  case proc(destination: String)
  /// The new root: `names` of directories in `layers`, the highest first, under a layer for the container's changes.
  /// `place`: an empty directory of the host's that gets that layer, or, `inMemory`, that a tmpfs is mounted on.
  case image(layers: String, names: [String], place: String, inMemory: Bool)
  /// The new root: what is mounted at `path` in the mount namespace that the file `namespace` stands for, with all
  /// below it; `on`: a directory of the host's that it is mounted on.
  case root(path: String, namespace: String, on: String)
  /// The kernel's /sys.
  case sysfs(destination: String, readOnly: Bool = true)
  /// A devpts of the container's own.
  case terminals(destination: String)
  /// The pod's message queues.
  case queues(destination: String)
  /// Hides a file or directory, if it is there.
  case mask(path: String)
  /// Makes it and what is mounted below it read-only, if it is there; of `/` the root's own file system alone.
  case seal(path: String)
  /// The pod's host name; with `ContainerPlan.Confinement`, which gives the pod one of its own.
  case hostName(String)
}

/// What holds a container's processes apart from the host, beside its file system.
package struct Confinement: Equatable, Sendable {
  /// The capabilities that its processes may ever have, a bit each by the kernel's number.
  package var capabilities: UInt64
  /// Set-uid programs and file capabilities give nothing.
  package var noNewPrivileges = false
  /// A PID namespace of its own, its command the first process; else the pod's.
  package var ownProcesses = true
  /// System V IPC and message queues that the pod's containers share, and not the host's.
  package var podIPC = true
  /// The pod has a user namespace: its ids from 0 on are the host's from here on, `UserRanges.size` of them, and its
  /// capabilities count for what is of the pod alone. The same for all containers of a pod. nil: the host's users.
  package var firstUser: UInt32?
  /// A compiled seccomp filter (`struct sock_filter` each); empty: every system call is allowed.
  package var filter: [UInt8] = []

  /// Confined with nothing but the capabilities named.
  package init(capabilities: UInt64) { self.capabilities = capabilities }

  fileprivate var flags: UInt32 {
    var flags = STINT_PLAN_CONFINED.rawValue | STINT_PLAN_POD_UTS.rawValue
    if noNewPrivileges { flags |= STINT_PLAN_NO_NEW_PRIVILEGES.rawValue }
    if ownProcesses { flags |= STINT_PLAN_OWN_PROCESSES.rawValue }
    if podIPC { flags |= STINT_PLAN_POD_IPC.rawValue }
    return flags
  }
}

/// A container's process and surroundings.
package struct ContainerPlan: Equatable, Sendable {
  /// The command; a first word without a slash is searched for in the environment's PATH.
  package var arguments: [String]
  /// The whole environment, `NAME=value` each, exactly as given.
  package var environment: [String]
  /// The working directory inside the container.
  package var directory = "/"
  /// The user to run as; nil keeps the keeper's.
  package var userID: UInt32?
  /// The group to run as; nil keeps the keeper's.
  package var groupID: UInt32?
  /// Supplementary groups (at most 64), set whenever a user or group is.
  package var groups: [UInt32] = []
  /// `oom_score_adj`, -1000...1000; nil keeps the keeper's.
  package var oomScoreAdjust: Int32?
  /// The `cgroup.procs` files of the cgroups that it is in; empty: the pod's own.
  package var cgroups: [String] = []
  /// How its file system is made, in order.
  package var mounts: [MountOperation] = []
  /// How it is held apart from the host; nil: a program of the host's, in the pod's namespaces.
  package var confinement: Confinement?
  /// Its processes are among another container's (`PodProcess.startContainer`), and those that are started in it too.
  package var hasOthersProcesses = false
  /// Its streams are a terminal of this size; nil: they are none.
  package var terminal: TerminalSize?

  /// A plan with nothing but a command.
  package init(arguments: [String], environment: [String] = []) {
    self.arguments = arguments
    self.environment = environment
  }

  /// The bytes for the pod init (CLinuxPod.h). Fails with EINVAL on an empty command or a NUL in any text, with E2BIG
  /// over 4 MiB.
  func encoded(mountingProc: Bool) throws(IOError) -> [UInt8] {
    guard !arguments.isEmpty else { throw IOError(code: EINVAL, operation: "container plan", subject: "empty command") }
    // Before a pivot paths are the host's: the pod's /proc goes in last, over whatever the root brought along.
    let operations = mountingProc && !mountsProc ? mounts + [.proc(destination: "/proc")] : mounts
    var encoder = PlanEncoder()
    encoder.append(Int32(truncatingIfNeeded: userID.map(Int64.init) ?? -1))
    encoder.append(Int32(truncatingIfNeeded: groupID.map(Int64.init) ?? -1))
    encoder.append(oomScoreAdjust ?? Int32.min)
    for count in [arguments.count, environment.count, groups.count, operations.count] {
      encoder.append(Int32(truncatingIfNeeded: count))
    }
    let capabilities = confinement?.capabilities ?? 0
    let filter = confinement?.filter ?? []
    var flags = (confinement?.flags ?? 0) | (terminal == nil ? 0 : STINT_PLAN_TERMINAL.rawValue)
    if hasOthersProcesses { flags |= STINT_PLAN_OWN_PROCESSES.rawValue }
    let size = UInt32(terminal?.columns ?? 0) | UInt32(terminal?.rows ?? 0) << 16
    let words = [
      flags, UInt32(truncatingIfNeeded: capabilities), UInt32(truncatingIfNeeded: capabilities >> 32),
      UInt32(filter.count), size, UInt32(cgroups.count), confinement?.firstUser ?? 0,
    ]
    for word in words { encoder.append(Int32(bitPattern: word)) }
    for text in arguments { try encoder.append(text) }
    for text in environment { try encoder.append(text) }
    try encoder.append(directory)
    for file in cgroups { try encoder.append(file) }
    for group in groups { encoder.append(Int32(bitPattern: group)) }
    encoder.bytes.append(contentsOf: filter)
    for operation in operations { try encoder.append(operation) }
    guard encoder.bytes.count <= Int(STINT_PLAN_LIMIT) else {
      throw IOError(code: E2BIG, operation: "container plan", subject: "arguments, environment and mounts")
    }
    return encoder.bytes
  }

  private var mountsProc: Bool {
    mounts.contains { operation in
      if case .proc = operation { true } else { false }
    }
  }
}

private struct PlanEncoder {
  var bytes: [UInt8] = []

  mutating func append(_ number: Int32) { withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) } }

  mutating func append(_ text: String) throws(IOError) {
    guard !text.utf8.contains(0) else {
      throw IOError(code: EINVAL, operation: "container plan", subject: "NUL in a text")
    }
    bytes.append(contentsOf: text.utf8)
    bytes.append(0)
  }

  mutating func append(_ operation: MountOperation) throws(IOError) {
    switch operation {
    case .bind(let source, let below, let destination, let readOnly, let asUser, let noDevices, let shifted):
      var flags = (readOnly ? STINT_BIND_READ_ONLY.rawValue : 0) | (asUser ? STINT_BIND_AS_USER.rawValue : 0)
      if noDevices { flags |= STINT_BIND_NO_DEVICES.rawValue }
      if shifted { flags |= STINT_BIND_SHIFTED.rawValue }
      try append(STINT_BIND, flags: Int32(bitPattern: flags), source, destination, below)
    case .tmpfs(let destination, let options): try append(STINT_TMPFS, "", destination, options)
    case .makeDirectory(let path, let mode): try append(STINT_MAKE_DIRECTORY, mode: mode, "", path)
    case .makeFile(let path, let mode): try append(STINT_MAKE_FILE, mode: mode, "", path)
    case .symbolicLink(let path, let target): try append(STINT_SYMLINK, target, path)
    case .overlay(let destination, let lower): try append(STINT_OVERLAY, lower ?? "", destination)
    case .mirror(let source, let destination): try append(STINT_MIRROR, source, destination)
    case .newRoot(let path): try append(STINT_NEW_ROOT, path, "")
    case .pivot: try append(STINT_PIVOT, "", "")
    case .proc(let destination): try append(STINT_PROC, "", destination)
    case .image(let layers, let names, let place, let inMemory):
      let flags = inMemory ? STINT_IMAGE_IN_MEMORY.rawValue : 0
      try append(
        STINT_IMAGE, flags: Int32(bitPattern: flags), layers, place, names.joined(separator: ":"))
    case .root(let path, let namespace, let directory): try append(STINT_ROOT, namespace, directory, path)
    case .sysfs(let destination, let readOnly): try append(STINT_SYSFS, mode: readOnly ? 0 : 0o200, "", destination)
    case .terminals(let destination): try append(STINT_TERMINALS, "", destination)
    case .queues(let destination): try append(STINT_QUEUES, "", destination)
    case .mask(let path): try append(STINT_MASK, "", path)
    case .seal(let path): try append(STINT_SEAL, "", path)
    case .hostName(let name): try append(STINT_HOST_NAME, name, "")
    }
  }

  private mutating func append(
    _ kind: stint_operation_kind, flags: Int32 = 0, mode: UInt32 = 0, _ source: String, _ destination: String,
    _ detail: String = ""
  ) throws(IOError) {
    append(Int32(bitPattern: kind.rawValue))
    append(flags)
    append(Int32(bitPattern: mode))
    try append(source)
    try append(destination)
    try append(detail)
  }
}
