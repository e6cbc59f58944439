// Writes the files that kubelet makes for each pod of images: /etc/hosts, /etc/hostname, /etc/resolv.conf. Slow work,
// on the agent's worker. Knows no mounts.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

enum NetworkFileWriter {
  private static let resolver = "/etc/resolv.conf"

  /// Writes them below the pod's directory.
  static func write(_ assignment: Assignment, address: String, paths: NodePaths) throws(IOError) {
    try Files.makeDirectory(paths.pod(assignment.attempt), mode: 0o755)
    try write(
      assignment, address: address, into: "\(paths.pod(assignment.attempt))/\(NetworkFiles.directory)", isKnown: false)
  }

  /// Writes them into `directory`. `isKnown`: such files of another pod are there. They were its containers' to write
  /// and to give away: those that are not as we made them are made anew.
  static func write(
    _ assignment: Assignment, address: String, into directory: String, isKnown: Bool
  ) throws(IOError) {
    if !isKnown {
      try Files.removeTree(directory)
      try Files.makeDirectory(directory, mode: 0o755)
    }
    // A node without one has no name service to tell of.
    let own = String(decoding: (try? Files.read(resolver)) ?? [], as: UTF8.self)
    let texts = NetworkFiles.texts(assignment, address: address, resolver: own)
    for name in NetworkFiles.names {
      let text = texts[name] ?? ""
      if isKnown, try rewrite(text, in: "\(directory)/\(name)") { continue }
      unlink("\(directory)/\(name)")
      try write(text, to: "\(directory)/\(name)")
    }
  }

  /// False: it is not as we made it.
  private static func rewrite(_ text: String, in path: String) throws(IOError) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var facts = stat()
    var names: CChar = 0
    guard fstat(descriptor, &facts) == 0, facts.st_mode == S_IFREG | 0o644, facts.st_uid == geteuid(),
      facts.st_gid == getegid(), facts.st_nlink == 1, stint_attribute_names(descriptor, &names, 0) <= 0
    else { return false }
    let bytes = Array(text.utf8)
    if facts.st_size != bytes.count, ftruncate(descriptor, 0) != 0 { throw IOError.last("truncate", path) }
    try Files.writeAll(descriptor, bytes, path: path)
    return true
  }

  /// Not synced: after a crash of the machine the pod is gone too.
  private static func write(_ text: String, to path: String) throws(IOError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw IOError.last("create", path) }
    defer { close(descriptor) }
    fchmod(descriptor, 0o644)
    try Files.writeAll(descriptor, Array(text.utf8), path: path)
  }
}
