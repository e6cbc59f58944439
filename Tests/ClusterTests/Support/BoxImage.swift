// Owns: images for tests, made of Debian's static busybox by umoci, and how they get into a registry.
// It must not know who runs them.

import ClusterIO
import ClusterProto
import Glibc

/// An image in an OCI layout: busybox with its usual names, and scripts.
struct BoxImage {
  /// `DIRECTORY:TAG`, as skopeo has it behind `oci:`.
  let layout: String

  /// `scripts`: in /bin, by their names. `config`: umoci's flags, without their `--config.`.
  init(_ scratch: String, scripts: [String: String] = [:], config: [(String, String)] = []) throws {
    try Files.makeDirectory("\(scratch)/root/bin")
    try Self.run("/bin/cp", "/bin/busybox", "\(scratch)/root/bin/busybox")
    for tool in ["sh", "cat", "grep", "id", "hostname", "ls", "seq", "sleep", "touch", "true", "wc"] {
      symlink("busybox", "\(scratch)/root/bin/\(tool)")
    }
    for name in scripts.keys.sorted() {
      try Files.writeAtomically("\(scratch)/root/bin/\(name)", Array((scripts[name] ?? "").utf8))
      chmod("\(scratch)/root/bin/\(name)", 0o755)
    }
    for directory in ["root", "root/bin"] { chmod("\(scratch)/\(directory)", 0o755) }
    layout = "\(scratch)/layout:1"
    try Self.run("/usr/bin/umoci", "init", "--layout", "\(scratch)/layout")
    try Self.run("/usr/bin/umoci", "new", "--image", layout)
    try Self.run("/usr/bin/umoci", "insert", "--image", layout, "\(scratch)/root", "/")
    let words = config.flatMap { ["--config.\($0.0)", $0.1] }
    if !words.isEmpty { try Self.run(["/usr/bin/umoci", "config", "--image", layout] + words) }
  }

  /// What brings it to a registry without TLS that serves it by that name.
  func copying(to name: String) -> [String] {
    [
      "/usr/bin/skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "oci:\(layout)",
      "docker://\(name)",
    ]
  }

  /// What docker-registry reads: where it keeps its images and listens.
  static func registrySettings(storage: String, address: String) -> [UInt8] {
    Array(
      """
      version: 0.1
      storage: {filesystem: {rootdirectory: \(storage)}}
      http: {addr: "\(address)"}

      """.utf8)
  }

  static func run(_ words: String...) throws { try run(words) }

  static func run(_ words: [String]) throws {
    let child = try Child(Child.Options(path: words[0], arguments: words, environment: ["PATH=/usr/bin:/bin"]))
    while child.reap() == nil { poll(nil, 0, 5) }
    try check(child.status == .exited(code: 0), words.joined(separator: " "))
  }
}
