// Owns: the image that is measured: one static program, in the form that `docker save` writes. It must not know who
// runs it.

import ClusterIO
import ClusterProto
import Glibc

/// An image of one layer, of one program under two names, `true` and `sleep`.
struct BenchImage {
  static let name = "docker.io/library/stint-bench:1"
  /// Debian's busybox-static: one program without libraries, that does what its name says.
  private static let program = "/bin/busybox"

  /// What `stint image load` reads.
  let archive: String
  /// The layer's files, for runtimes that take a directory.
  let root: String

  /// nil: this machine has no program to put into it, or no tar.
  init?(in directory: String) throws {
    guard access(Self.program, X_OK) == 0, access("/usr/bin/tar", X_OK) == 0 else { return nil }
    (archive, root) = ("\(directory)/image.tar", "\(directory)/root")
    for path in ["\(root)/bin", "\(root)/dev", "\(root)/proc", "\(root)/sys"] {
      try Files.makeDirectory(path)
      chmod(path, 0o755)
    }
    chmod(root, 0o755)
    try Files.writeAtomically("\(root)/bin/true", Files.read(Self.program))
    chmod("\(root)/bin/true", 0o755)
    link("\(root)/bin/true", "\(root)/bin/sleep")
    try Self.tar("\(directory)/layer.tar", of: ["."], in: root)
    let layer = "sha256:\(SHA256.hex(of: try Files.read("\(directory)/layer.tar")))"
    let configuration: JSON = [
      "architecture": .string(Self.architecture), "os": "linux", "config": ["Cmd": ["/bin/true"]],
      "rootfs": ["type": "layers", "diff_ids": [.string(layer)]],
    ]
    let manifest: JSON = [["Config": "config.json", "RepoTags": [.string(Self.name)], "Layers": ["layer.tar"]]]
    try Files.writeAtomically("\(directory)/config.json", configuration.bytes)
    try Files.writeAtomically("\(directory)/manifest.json", manifest.bytes)
    try Self.tar(archive, of: ["manifest.json", "config.json", "layer.tar"], in: directory)
  }

  private static var architecture: String {
    #if arch(arm64)
      "arm64"
    #else
      "amd64"
    #endif
  }

  private static func tar(_ path: String, of files: [String], in directory: String) throws {
    let words = ["tar", "-C", directory, "-cf", path] + files
    let child = try Child(Child.Options(path: "/usr/bin/tar", arguments: words, environment: []))
    var waits = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    poll(&waits, 1, -1)
    guard child.reap() == .exited(code: 0) else { throw CommandError("error: \(words.joined(separator: " ")) failed") }
  }
}
