// How a container of an image runs: what its root is made of and how it is held apart from the host. Part of a pod's
// plan; it must not know where an image came from, nor what a manifest said.

/// An image's container, as the keeper starts it.
package struct ContainerRoot: Equatable, Sendable {
  /// Which system calls it may make.
  package enum Seccomp: Equatable, Sendable {
    /// What container runtimes allow by default.
    case runtimeDefault
    /// What a profile of the node's allows: a path below its directory of profiles.
    case localhost(String)
    /// All.
    case unconfined
  }

  /// Names of its layers' directories on the node, the highest first.
  package var layers: [String]
  /// Who it runs as.
  package var userID: UInt32
  /// Its group.
  package var groupID: UInt32
  /// Its supplementary groups, at most 64.
  package var groups: [UInt32]
  /// What it may ever be capable of, a bit each by the kernel's number.
  package var capabilities: UInt64
  /// Set-uid programs give nothing (`allowPrivilegeEscalation: false`).
  package var noNewPrivileges: Bool
  /// Its root file system takes no changes.
  package var isReadOnly: Bool
  /// It has the host's devices, and nothing of /proc and /sys is hidden.
  package var isPrivileged: Bool
  /// `procMount: Unmasked`.
  package var unmasksProc: Bool
  /// Which system calls it may make.
  package var seccomp: Seccomp
  /// A PID namespace of its own; else the pod's (`shareProcessNamespace`).
  package var ownProcesses: Bool
  /// IPC that only the pod shares; else the host's (`hostIPC`).
  package var podIPC: Bool
  /// Users of the pod's own, whom the host does not know (`hostUsers: false`); else the host's.
  package var ownUsers: Bool
  /// What asks it to end.
  package var stopSignal: Int32
  /// The namespace whose containers may have its root after it, where it has changed nothing in it; empty: nobody may.
  package var heirs: String

  /// A container of those layers that runs as root with nothing asked for.
  package init(layers: [String], capabilities: UInt64) {
    self.layers = layers
    userID = 0
    groupID = 0
    groups = []
    self.capabilities = capabilities
    noNewPrivileges = false
    isReadOnly = false
    isPrivileged = false
    unmasksProc = false
    seccomp = .runtimeDefault
    ownProcesses = true
    podIPC = true
    ownUsers = false
    stopSignal = 15
    heirs = ""
  }

  /// As `init(json:)` reads it.
  package var json: JSON {
    var flags: [JSON] = []
    var profile: String?
    if case .localhost(let path) = seccomp { profile = path }
    for (name, isSet) in [
      ("noNewPrivileges", noNewPrivileges), ("readOnly", isReadOnly), ("privileged", isPrivileged),
      ("unmasked", unmasksProc), ("unconfined", seccomp == .unconfined), ("localProfile", profile != nil),
      ("podProcesses", !ownProcesses), ("hostIPC", !podIPC), ("podUsers", ownUsers),
    ] where isSet {
      flags.append(.string(name))
    }
    var result: JSON = [
      "layers": .strings(layers), "user": .int(Int64(userID)), "group": .int(Int64(groupID)),
      "groups": .integers(groups.map(Int64.init)), "capabilities": .int(Int64(bitPattern: capabilities)),
      "flags": .array(flags), "stopSignal": .int(Int64(stopSignal)),
    ]
    if let profile { result["profile"] = .string(profile) }
    if !heirs.isEmpty { result["heirs"] = .string(heirs) }
    return result
  }

  /// Throws what is missing, and on a flag that this version does not know: it may be one that holds something back.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    func number(_ value: Int64) throws(MessageError) -> UInt32 {
      guard let number = UInt32(exactly: value) else { throw MessageError("\(what): a user or group out of range") }
      return number
    }
    self.init(
      layers: try reader.list("layers", MessageReader.string),
      capabilities: UInt64(bitPattern: try reader.integer("capabilities")))
    userID = try number(reader.integer("user"))
    groupID = try number(reader.integer("group"))
    for group in try reader.list("groups", MessageReader.integer) { groups.append(try number(group)) }
    stopSignal = Int32(truncatingIfNeeded: try reader.integer("stopSignal"))
    heirs = try reader.optionalString("heirs") ?? ""
    for flag in try reader.list("flags", MessageReader.string) {
      switch flag {
      case "noNewPrivileges": noNewPrivileges = true
      case "readOnly": isReadOnly = true
      case "privileged": isPrivileged = true
      case "unmasked": unmasksProc = true
      case "unconfined": seccomp = .unconfined
      case "localProfile": seccomp = .localhost(try reader.string("profile"))
      case "podProcesses": ownProcesses = false
      case "hostIPC": podIPC = false
      case "podUsers": ownUsers = true
      default: throw MessageError("\(what): unknown flag \"\(flag)\"")
      }
    }
  }
}
