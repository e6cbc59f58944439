// Owns: a registry without TLS on this machine for one test, with an image of busybox by several names.
// It must not know who pulls.

import ClusterIO
import ClusterProto
import Glibc

/// Debian's docker-registry; it ends with the object.
final class BoxRegistry {
  private let port: HeldPort
  private let child: Child
  private let image: BoxImage

  /// What the image is called, by its tag.
  func name(_ tag: Int = 1) -> String { "127.0.0.1:\(port.number)/team/box:\(tag)" }

  /// `scratch`: a directory of its own. `tags`: 1 to that.
  init(_ scratch: String, tags: Int = 1, config: [(String, String)] = []) throws {
    port = try HeldPort()
    image = try BoxImage(scratch, config: config)
    let settings = BoxImage.registrySettings(storage: "\(scratch)/registry", address: "127.0.0.1:\(port.number)")
    try Files.writeAtomically("\(scratch)/registry.yml", settings)
    child = try Child(
      Child.Options(
        path: "/usr/bin/docker-registry", arguments: ["docker-registry", "serve", "\(scratch)/registry.yml"],
        environment: []))
    for tag in 1...tags {
      try eventually("the registry takes the image") {
        (try? BoxImage.run(image.copying(to: name(tag)))) != nil
      }
    }
  }

  deinit {
    child.signal(SIGKILL)
    _ = child.reap()
  }
}
