// Makes the volumes of an attempt under DATA/pods/ATTEMPT and says where each lies. Slow work: runs on the agent's
// worker thread. Knows nothing of mounts inside the pod; that is MountPlan's.

import CLinux
import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// Why a volume could not be made. `reason` as the kubelet's container waiting reasons and events name it.
struct VolumeError: Error, Equatable {
  var reason: String
  var message: String
  var retryable: Bool
}

/// One file of a volume that the node writes.
private struct VolumeFile {
  var path: String
  var bytes: [UInt8]
  var mode: Int64
}

enum Volumes {
  /// Makes every volume of the assignment; returns the host path of each by volume name. `place`: the node's facts, for
  /// the downward API. `user`: whose rights count for the host's own paths; nil: this process'.
  static func make(
    _ assignment: Assignment, paths: NodePaths, place: PodPlace, slots: TokenSlots? = nil, user: PodUser? = nil
  ) throws(VolumeError) -> [String: String] {
    var result: [String: String] = [:]
    var room = FileRoom()
    for volume in assignment.spec.volumes {
      let directory = "\(paths.pod(assignment.attempt))/volumes/\(volume.name)"
      if let slots, let path = try usual(volume, assignment, slots) {
        result[volume.name] = path
        continue
      }
      switch volume.source {
      case .emptyDirectory(let medium, let limit):
        try makeDirectory(directory, mode: 0o777)
        if medium == VolumeSpec.memory, MemoryVolumes.isPossible {
          try mountMemory(on: directory, limit, volume.name, assignment.spec, place)
        }
        result[volume.name] = directory
      case .files(let projections, let mode):
        var files: [VolumeFile] = []
        var problems: [String] = []
        for projection in projections {
          do throws(ProjectionError) {
            files += try self.files(projection, in: volume.name, mode: mode, of: assignment, place, &room)
          } catch {
            if error.isFinal { throw setUpFailure(volume.name, error.message, retryable: false) }
            problems.append(error.message)
          }
        }
        // An aggregate of errors, as Go prints it.
        if problems.count > 1 { problems = ["[\(problems.joined(separator: ", "))]"] }
        if let problem = problems.first { throw setUpFailure(volume.name, problem) }
        try write(files, to: directory, volume.name, user)
        result[volume.name] = directory
      case .hostPath(let path, let type):
        try findHostPath(path, type: type, volume: volume.name, user, paths)
        result[volume.name] = path
      case .claim, .ephemeral:
        result[volume.name] = try ClaimVolumes(paths: paths, user: user).find(volume, of: assignment)
      case .unsupported(let kind):
        throw VolumeError(
          reason: "FailedMount", message: "volume \"\(volume.name)\": \(kind) volumes are not run by this version",
          retryable: false)
      }
      if let group = assignment.spec.security.fsGroup, user == nil, volume.isOfNode {
        try VolumeGroup(group: UInt32(truncatingIfNeeded: group), isReadOnly: volume.isWritten)
          .own(directory, volume.name)
      }
    }
    if !place.images.isEmpty, SharedMemory.isMade(for: assignment.spec), MemoryVolumes.isPossible {
      let directory = "\(paths.pod(assignment.attempt))/volumes/\(SharedMemory.name)"
      try makeDirectory(directory, mode: 0o1777)
      try mountMemory(on: directory, SharedMemory.bytes, SharedMemory.path, assignment.spec, place, mode: 0o1777)
    }
    return result
  }

  /// The host path of a volume that `make` has made for an attempt that runs.
  static func find(
    _ name: String, of assignment: Assignment, paths: NodePaths, slots: TokenSlots, user: PodUser?
  ) throws(VolumeError) -> String {
    guard let volume = assignment.spec.volumes.first(where: { $0.name == name }) else {
      throw setUpFailure(name, "the pod has no such volume")
    }
    if TokenSlots.serves(volume, of: assignment.spec), let path = slots.path(of: assignment.attempt) { return path }
    switch volume.source {
    case .emptyDirectory, .files: return "\(paths.pod(assignment.attempt))/volumes/\(name)"
    case .hostPath(let path, let type):
      try findHostPath(path, type: type, volume: name, user, paths)
      return path
    case .claim, .ephemeral: return try ClaimVolumes(paths: paths, user: user).find(volume, of: assignment)
    case .unsupported(let kind): throw setUpFailure(name, "\(kind) volumes are not run by this version")
    }
  }

  private static func mountMemory(
    on directory: String, _ limit: Int64?, _ volume: String, _ spec: PodSpec, _ place: PodPlace, mode: UInt32 = 0o777
  ) throws(VolumeError) {
    do throws(IOError) {
      let bytes = MemoryVolumes.size(limit: limit, of: spec, capacity: place.capacity)
      try MemoryVolumes.mount(on: directory, bytes: bytes, mode: mode)
    } catch {
      throw setUpFailure(volume, "\(error)")
    }
  }

  /// The usual volume of a pod's token; nil: it is another one, or lacks something, which the ordinary way tells.
  private static func usual(
    _ volume: VolumeSpec, _ assignment: Assignment, _ slots: TokenSlots
  ) throws(VolumeError) -> String? {
    guard TokenSlots.serves(volume, of: assignment.spec),
      let token = assignment.tokens.first(where: { $0.volume == volume.name })?.text,
      let authority = assignment.references["configmaps/kube-root-ca.crt"]?["data"]?["ca.crt"]?.stringValue
    else { return nil }
    do throws(IOError) {
      return try slots.take(
        assignment.attempt, token: token, authority: authority, namespace: assignment.namespace)
    } catch {
      throw setUpFailure(volume.name, "\(error)")
    }
  }

  /// kubelet's words; the reason is the one that it shows on a container while volumes are missing.
  static func setUpFailure(_ volume: String, _ what: String, retryable: Bool = true) -> VolumeError {
    VolumeError(
      reason: "ContainerCreating", message: "MountVolume.SetUp failed for volume \"\(volume)\" : \(what)",
      retryable: retryable)
  }

  /// Why a source has no files yet.
  private struct ProjectionError: Error {
    var message: String
    /// No other source can change it.
    var isFinal = false
  }

  /// What the pod's volumes may still hold: one big ConfigMap in a thousand volumes would fill memory and disk.
  private struct FileRoom {
    private var bytes = PlanLimits.volumes

    mutating func take(_ files: [VolumeFile]) throws(ProjectionError) {
      for file in files {
        bytes -= file.bytes.count
        if bytes < 0 {
          throw ProjectionError(
            message: "the pod's volumes of ConfigMaps, Secrets and the downward API hold more than "
              + "\(PlanLimits.volumes) bytes together", isFinal: true)
        }
      }
    }
  }

  /// The files of one source, in order; a later file of the same path replaces an earlier one.
  private static func files(
    _ projection: VolumeSpec.Projection, in volume: String, mode: Int64, of assignment: Assignment, _ place: PodPlace,
    _ room: inout FileRoom
  ) throws(ProjectionError) -> [VolumeFile] {
    switch projection {
    case .configMap(let name, let items, let optional):
      guard let body = assignment.references["configmaps/\(name)"] else {
        if optional { return [] }
        throw ProjectionError(message: "configmap \"\(name)\" not found")
      }
      return try files(contents(of: body), items, mode, optional, &room) {
        "configmap references non-existent config key: \($0)"
      }
    case .secret(let name, let items, let optional):
      guard let body = assignment.references["secrets/\(name)"] else {
        if optional { return [] }
        throw ProjectionError(message: "secret \"\(name)\" not found")
      }
      return try files(contents(of: body, isSecret: true), items, mode, optional, &room) {
        "references non-existent secret key: \($0)"
      }
    case .downward(let entries):
      let values = DownwardAPI(assignment: assignment, place: place)
      var files: [VolumeFile] = []
      for entry in entries {
        let text: String
        do throws(DownwardError) {
          text = try values.text(of: entry.value, askedBy: nil)
        } catch {
          throw ProjectionError(message: error.message)
        }
        let file = VolumeFile(path: entry.path, bytes: Array(text.utf8), mode: entry.mode ?? mode)
        try room.take([file])
        files.append(file)
      }
      return files
    case .token(let path, _, _):
      guard let text = assignment.tokens.first(where: { $0.volume == volume && $0.path == path })?.text else {
        throw ProjectionError(message: "failed to fetch token: the coordinator has sent none")
      }
      let file = VolumeFile(path: path, bytes: Array(text.utf8), mode: mode)
      try room.take([file])
      return [file]
    case .unsupported(let kind):
      throw ProjectionError(message: "\(kind) is not run by this version")
    }
  }

  private static func files(
    _ contents: [String: [UInt8]], _ items: [VolumeSpec.Item]?, _ mode: Int64, _ optional: Bool,
    _ room: inout FileRoom, missing: (String) -> String
  ) throws(ProjectionError) -> [VolumeFile] {
    guard let items else {
      let files = contents.sorted { $0.key < $1.key }.map { VolumeFile(path: $0.key, bytes: $0.value, mode: mode) }
      try room.take(files)
      return files
    }
    var files: [VolumeFile] = []
    for item in items {
      guard let bytes = contents[item.key] else {
        if optional { continue }
        throw ProjectionError(message: missing(item.key))
      }
      let file = VolumeFile(path: item.path, bytes: bytes, mode: item.mode ?? mode)
      try room.take([file])
      files.append(file)
    }
    return files
  }

  /// With `user` they are that user's: a mode that lets only the owner read is meant for who is to read it.
  private static func write(
    _ files: [VolumeFile], to directory: String, _ volume: String, _ user: PodUser?
  ) throws(VolumeError) {
    try makeDirectory(directory, mode: 0o755)
    for file in files {
      let path = directory + "/" + file.path
      guard !PathText.climbs(file.path) else {
        throw setUpFailure(volume, "item path \(file.path) leaves the volume", retryable: false)
      }
      if PathText.names(file.path).count > 1 { try makeDirectory(Files.split(path).parent, mode: 0o755) }
      // Anew: a file of an earlier try may forbid writing even to its owner.
      unlink(path)
      try writeFile(path, file.bytes, mode: UInt32(truncatingIfNeeded: file.mode & 0o777))
      if let user, geteuid() == 0, lchown(path, user.userID, user.groupID) != 0 {
        throw setUpFailure(volume, "\(IOError.last("chown", path))")
      }
    }
  }

  /// Puts a token in the place of the one before it, at once for whoever reads it. `directory`: the pod's own.
  /// `usual`: the directory of its usual volume, where it has one.
  static func write(_ token: PodToken, below directory: String, usual: String?) throws(IOError) {
    let isUsual = token.volume == PodToken.usualVolume
    let volume = (isUsual ? usual : nil) ?? "\(directory)/volumes/\(token.volume)"
    guard let text = token.text, !PathText.climbs(token.path), !PathText.climbs(token.volume) else { return }
    let path = "\(volume)/\(token.path)"
    var former = stat()
    guard lstat(path, &former) == 0 else { throw IOError.last("stat", path) }
    let mode = former.st_mode & 0o777
    let fresh = "\(volume)/..fresh"
    unlink(fresh)
    let descriptor = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw IOError.last("create", fresh) }
    defer { close(descriptor) }
    fchmod(descriptor, mode)
    if geteuid() == 0, fchown(descriptor, former.st_uid, former.st_gid) != 0 { throw IOError.last("chown", fresh) }
    try Files.writeAll(descriptor, Array(text.utf8), path: fresh)
    guard rename(fresh, path) == 0 else { throw IOError.last("rename", fresh) }
  }

  /// The bytes of a ConfigMap's data (text) and binaryData (base64), or of a Secret's data (base64).
  private static func contents(of body: JSON, isSecret: Bool = false) -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for (key, value) in body["data"]?.objectValue ?? JSONObject() {
      let text = value.stringValue ?? ""
      result[key] = isSecret ? Base64.decode(text) ?? [] : Array(text.utf8)
    }
    for (key, value) in body["binaryData"]?.objectValue ?? JSONObject() {
      result[key] = value.stringValue.flatMap { Base64.decode($0) } ?? []
    }
    return result
  }

  /// The host's path for a pod of `user`. Kubernetes looks and makes as root there, so that any pod with a hostPath has
  /// all of the host; here it has what its user has.
  static func findHostPath(
    _ path: String, type: String, volume: String, _ user: PodUser?, _ paths: NodePaths
  ) throws(VolumeError) {
    guard let user else { return try checkHostPath(path, type: type, volume: volume) }
    // The keeper takes what lies there for the node's own, and so not with the user's rights.
    guard path != paths.data, !PathText.isBelow(path, paths.data) else {
      throw setUpFailure(volume, "hostPath \(path) is in the agent's data directory", retryable: false)
    }
    let done: Void? = try user.acting { () throws(VolumeError) in
      var facts = stat()
      guard stint_is_plain(path) != 0 else {
        throw setUpFailure(volume, "hostPath \(path) leads through a link of /proc to what it does not name")
      }
      if stat(path, &facts) != 0, errno == EACCES {
        throw setUpFailure(volume, "hostPath \(path) is closed to the user that pods run as here (--pod-user)")
      }
      try checkHostPath(path, type: type, volume: volume)
    }
    if done == nil { throw setUpFailure(volume, "cannot look at hostPath \(path) as the user that pods run as here") }
  }

  /// Kubernetes' hostPath types. An empty type checks nothing there, and a runtime then makes the directory: here a
  /// path that is not there is an error, as nothing is made on the host unless it is asked for.
  private static func checkHostPath(_ path: String, type: String, volume: String) throws(VolumeError) {
    // A relative one would be made where the agent happens to stand.
    guard PathText.isAbsolute(path) else {
      throw setUpFailure(volume, "hostPath \(path) is not an absolute path", retryable: false)
    }
    let status = try? Files.status(path)
    let kind = (status?.mode ?? 0) & UInt32(S_IFMT)
    func check(_ isRight: Bool, _ what: String) throws(VolumeError) {
      if !isRight { throw setUpFailure(volume, "hostPath type check failed: \(path) is not \(what)") }
    }
    switch type {
    case "DirectoryOrCreate" where status == nil: try makeDirectory(path, mode: 0o755)
    case "FileOrCreate" where status == nil: try writeFile(path, [], mode: 0o644)
    case "DirectoryOrCreate", "Directory": try check(status?.isDirectory == true, "a directory")
    case "FileOrCreate", "File": try check(status?.isDirectory == false, "a file")
    case "Socket": try check(kind == UInt32(S_IFSOCK), "a socket file")
    case "CharDevice": try check(kind == UInt32(S_IFCHR), "a character device")
    case "BlockDevice": try check(kind == UInt32(S_IFBLK), "a block device")
    default:
      if status == nil { throw setUpFailure(volume, "hostPath \(path) does not exist") }
    }
  }

  private static func makeDirectory(_ path: String, mode: UInt32) throws(VolumeError) {
    do {
      try Files.makeDirectory(Files.split(path).parent, mode: 0o755)
      try Files.makeDirectory(path, mode: mode)
      chmod(path, mode)
    } catch {
      throw VolumeError(reason: "ContainerCreating", message: "cannot make a volume: \(error)", retryable: true)
    }
  }

  private static func writeFile(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(VolumeError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else {
      throw VolumeError(
        reason: "ContainerCreating", message: "cannot write \(path): \(IOError.text(errno))", retryable: true)
    }
    defer { close(descriptor) }
    do {
      try Files.writeAll(descriptor, bytes, path: path)
    } catch {
      throw VolumeError(reason: "ContainerCreating", message: "\(error)", retryable: true)
    }
    fchmod(descriptor, mode)
  }
}
