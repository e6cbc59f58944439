// Makes the volumes of an attempt under DATA/pods/ATTEMPT and says where each lies. Slow work: runs on the agent's worker thread.
// Knows nothing of mounts inside the pod; that is MountPlan's.

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
        let body = try reference("configmaps", name, optional: optional, in: assignment)
        try write(body, kind: "configmap", name: name, items: items, mode: mode, optional: optional, to: directory, assignment)
        result[volume.name] = directory
      case .secret(let name, let items, let mode, let optional):
        let body = try reference("secrets", name, optional: optional, in: assignment)
        try write(body, kind: "secret", name: name, items: items, mode: mode, optional: optional, to: directory, assignment)
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

  private static func reference(_ kind: String, _ name: String, optional: Bool, in assignment: Assignment)
    throws(VolumeError) -> JSON
  {
    if let body = assignment.references["\(kind)/\(name)"] { return body }
    if optional { return .object(JSONObject()) }
    let singular = kind == "secrets" ? "secret" : "configmap"
    throw VolumeError(
      reason: "ContainerCreating", message: "MountVolume.SetUp failed: \(singular) \"\(name)\" not found",
      retryable: true)
  }

  private static func write(
    _ body: JSON, kind: String, name: String, items: [VolumeSpec.Item]?, mode: Int64, optional: Bool,
    to directory: String, _ assignment: Assignment
  ) throws(VolumeError) {
    try makeDirectory(directory, mode: 0o755)
    var files: [(path: String, bytes: [UInt8], mode: Int64)] = []
    let contents = contents(of: body)
    if let items {
      for item in items {
        guard let bytes = contents[item.key] else {
          if optional { continue }
          throw VolumeError(
            reason: "ContainerCreating",
            message: "MountVolume.SetUp failed: \(kind) references non-existent config key: \(item.key)",
            retryable: true)
        }
        files.append((item.path, bytes, item.mode ?? mode))
      }
    } else {
      for (key, bytes) in contents.sorted(by: { $0.key < $1.key }) { files.append((key, bytes, mode)) }
    }
    for file in files {
      let path = directory + "/" + file.path
      guard !file.path.split(separator: "/").contains("..") else {
        throw VolumeError(reason: "ContainerCreating", message: "\(kind) item path \(file.path) leaves the volume", retryable: false)
      }
      if file.path.contains("/") { try makeDirectory(Files.split(path).parent, mode: 0o755) }
      try writeFile(path, file.bytes, mode: UInt32(truncatingIfNeeded: file.mode & 0o777))
    }
  }

  /// The bytes of data (text) and binaryData (base64; Secrets hold base64 in data).
  static func contents(of body: JSON) -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for (key, value) in body["data"]?.objectValue ?? JSONObject() {
      result[key] = Array((value.stringValue ?? "").utf8)
    }
    for (key, value) in body["binaryData"]?.objectValue ?? JSONObject() {
      result[key] = value.stringValue.flatMap { Base64.decode($0) } ?? []
    }
    return result
  }

  /// Kubernetes' hostPath types; the empty type checks nothing.
  private static func checkHostPath(_ path: String, type: String, volume: String) throws(VolumeError) {
    func fail(_ what: String) -> VolumeError {
      VolumeError(
        reason: "ContainerCreating", message: "MountVolume.SetUp failed for volume \"\(volume)\" : \(what)", retryable: true)
    }
    let status = try? Files.status(path)
    switch type {
    case "DirectoryOrCreate":
      if status == nil { try makeDirectory(path, mode: 0o755) }
      else if status?.isDirectory == false { throw fail("hostPath type check failed: \(path) is not a directory") }
    case "Directory":
      if status?.isDirectory != true { throw fail("hostPath type check failed: \(path) is not a directory") }
    case "FileOrCreate":
      if status == nil { try writeFile(path, [], mode: 0o644) }
      else if status?.isDirectory == true { throw fail("hostPath type check failed: \(path) is not a file") }
    case "File":
      if status == nil || status?.isDirectory == true { throw fail("hostPath type check failed: \(path) is not a file") }
    default:
      if status == nil { throw fail("hostPath \(path) does not exist") }
    }
  }

  private static func makeDirectory(_ path: String, mode: UInt32) throws(VolumeError) {
    do {
      if let cut = path.range(ofLastComponent: "/") { try Files.makeDirectory(String(path[..<cut]), mode: 0o755) }
      try Files.makeDirectory(path, mode: mode)
      chmod(path, mode)
    } catch {
      throw VolumeError(reason: "ContainerCreating", message: "cannot make a volume: \(error)", retryable: true)
    }
  }

  private static func writeFile(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(VolumeError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
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

extension String {
  /// Where the last component of a path begins, before its slash; nil for a name without one.
  fileprivate func range(ofLastComponent separator: Character) -> String.Index? {
    guard let index = lastIndex(of: separator), index != startIndex else { return nil }
    return index
  }
}
