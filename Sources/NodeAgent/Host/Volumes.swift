// Makes the volumes of an attempt under DATA/pods/ATTEMPT and says where each lies. Slow work: runs on the agent's
// worker thread. Knows nothing of mounts inside the pod; that is MountPlan's.

import ClusterIO
import ClusterProto
import Glibc

/// Why a volume could not be made. `reason` as the kubelet's container waiting reasons and events name it.
struct VolumeError: Error, Equatable {
  var reason: String
  var message: String
  var retryable: Bool
}

enum Volumes {
  /// Makes every volume of the assignment; returns the host path of each by volume name.
  static func make(_ assignment: Assignment, paths: NodePaths) throws(VolumeError) -> [String: String] {
    var result: [String: String] = [:]
    for volume in assignment.spec.volumes {
      let directory = "\(paths.pod(assignment.attempt))/volumes/\(volume.name)"
      switch volume.source {
      case .emptyDirectory:
        try makeDirectory(directory, mode: 0o777)
        result[volume.name] = directory
      case .configMap(let name, let items, let mode, let optional):
        let body = try reference("configmaps", name, volume: volume.name, optional: optional, in: assignment)
        try write(body, kind: "configmap", items: items, mode: mode, optional: optional, to: directory, volume.name)
        result[volume.name] = directory
      case .secret(let name, let items, let mode, let optional):
        let body = try reference("secrets", name, volume: volume.name, optional: optional, in: assignment)
        try write(body, kind: "secret", items: items, mode: mode, optional: optional, to: directory, volume.name)
        result[volume.name] = directory
      case .hostPath(let path, let type):
        try checkHostPath(path, type: type, volume: volume.name)
        result[volume.name] = path
      case .unsupported(let kind):
        throw VolumeError(
          reason: "FailedMount", message: "volume \"\(volume.name)\": \(kind) volumes are not run by this version",
          retryable: false)
      }
    }
    return result
  }

  /// kubelet's words; the reason is the one that it shows on a container while volumes are missing.
  private static func setUpFailure(_ volume: String, _ what: String, retryable: Bool = true) -> VolumeError {
    VolumeError(
      reason: "ContainerCreating", message: "MountVolume.SetUp failed for volume \"\(volume)\" : \(what)",
      retryable: retryable)
  }

  private static func reference(
    _ kind: String, _ name: String, volume: String, optional: Bool, in assignment: Assignment
  ) throws(VolumeError) -> JSON {
    if let body = assignment.references["\(kind)/\(name)"] { return body }
    if optional { return .object(JSONObject()) }
    throw setUpFailure(volume, "\(kind == "secrets" ? "secret" : "configmap") \"\(name)\" not found")
  }

  private static func write(
    _ body: JSON, kind: String, items: [VolumeSpec.Item]?, mode: Int64, optional: Bool, to directory: String,
    _ volume: String
  ) throws(VolumeError) {
    try makeDirectory(directory, mode: 0o755)
    var files: [(path: String, bytes: [UInt8], mode: Int64)] = []
    let contents = contents(of: body, isSecret: kind == "secret")
    if let items {
      for item in items {
        guard let bytes = contents[item.key] else {
          if optional { continue }
          throw setUpFailure(volume, "\(kind) references non-existent config key: \(item.key)")
        }
        files.append((item.path, bytes, item.mode ?? mode))
      }
    } else {
      for (key, bytes) in contents.sorted(by: { $0.key < $1.key }) { files.append((key, bytes, mode)) }
    }
    for file in files {
      let path = directory + "/" + file.path
      guard !file.path.split(separator: "/").contains("..") else {
        throw setUpFailure(volume, "\(kind) item path \(file.path) leaves the volume", retryable: false)
      }
      if file.path.contains("/") { try makeDirectory(Files.split(path).parent, mode: 0o755) }
      try writeFile(path, file.bytes, mode: UInt32(truncatingIfNeeded: file.mode & 0o777))
    }
  }

  /// The bytes of a ConfigMap's data (text) and binaryData (base64), or of a Secret's data (base64).
  static func contents(of body: JSON, isSecret: Bool = false) -> [String: [UInt8]] {
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

  /// Kubernetes' hostPath types. An empty type checks nothing there, and a runtime then makes the directory: here a
  /// path that is not there is an error, as nothing is made on the host unless it is asked for.
  private static func checkHostPath(_ path: String, type: String, volume: String) throws(VolumeError) {
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
    // Anew: a file of an earlier try may forbid writing even to its owner.
    unlink(path)
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
