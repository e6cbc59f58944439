// Writes the files that kubelet makes for each pod of images: /etc/hosts, /etc/hostname, /etc/resolv.conf. Slow work,
// on the agent's worker. Knows no mounts.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

enum NetworkFileWriter {
  private static let resolver = "/etc/resolv.conf"

  /// Writes them below the pod's directory.
  static func write(_ assignment: Assignment, address: String, paths: NodePaths) throws(IOError) {
    let directory = "\(paths.pod(assignment.attempt))/\(NetworkFiles.directory)"
    try Files.makeDirectory(paths.pod(assignment.attempt), mode: 0o755)
    try Files.makeDirectory(directory, mode: 0o755)
    // A node without one has no name service to tell of.
    let own = String(decoding: (try? Files.read(resolver)) ?? [], as: UTF8.self)
    let texts = NetworkFiles.texts(assignment, address: address, resolver: own)
    for name in NetworkFiles.names {
      try write(texts[name] ?? "", to: "\(directory)/\(name)")
    }
  }

  /// Not synced: after a crash of the machine the pod is gone too.
  private static func write(_ text: String, to path: String) throws(IOError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw IOError.last("create", path) }
    defer { close(descriptor) }
    fchmod(descriptor, 0o644)
    try Files.writeAll(descriptor, Array(text.utf8), path: path)
  }
}
