// A place for one image on its way, its owner's alone until the owner ends, and the layers in use by containers. Knows
// no image's content.

import ClusterIO
import ClusterProto
import Glibc

/// A directory below `staging`. It goes with this object, and at the next start when its process ended before.
final class ImageStaging {
  /// The file whose lock says that the owner lives.
  static let lock = "lock"
  /// The file that names the layers that the owner relies on, a line each.
  static let pins = "pins"

  /// Where it is.
  let path: String
  private let lock: FileLock

  /// Makes one.
  init(_ store: ImageStore) throws(IOError) {
    let path = "\(store.staging)/\(Hexadecimal.text(try Crypto.randomBytes(8)))"
    self.path = path
    // Under the store's lock: nobody sees it before it is locked itself.
    lock = try store.locked { () throws(IOError) in
      try Files.makeDirectory(path, mode: 0o700)
      return try FileLock(path: "\(path)/\(Self.lock)")
    }
  }

  deinit {
    lock.release()
    try? Files.removeTree(path)
  }

  /// Keeps layers from being removed from now on, whether they are there or not.
  func pin(_ names: [String], in store: ImageStore) throws(IOError) {
    try store.locked { () throws(IOError) in
      try Files.writeAtomically("\(path)/\(Self.pins)", Array(names.joined(separator: "\n").utf8))
    }
  }
}

/// Which layers containers' roots are made of: a file in the place of each root, written before its container starts
/// and gone with the place when no process of it is left. (What the kernel tells of overlays names no layer: they are
/// mounted by descriptors.)
enum RootLayers {
  private static let file = "layers"
  /// Its name while nobody uses the root.
  private static let resting = "rest"
  private static let limit = 1 << 16

  /// Says that the root at `place` is made of these. Throws where one of them has gone meanwhile.
  static func claim(_ names: [String], for place: String, in store: ImageStore) throws(IOError) {
    try store.locked { () throws(IOError) in
      for name in names where !Files.exists(store.path(ofLayer: name)) {
        throw IOError(code: ENOENT, operation: "use layer", subject: name)
      }
      let path = "\(place)/\(file)"
      let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw IOError.last("create", path) }
      defer { close(descriptor) }
      // It need not outlive the machine: the container does not either.
      let text = names.joined(separator: "\n")
      guard write(descriptor, text, text.utf8.count) == text.utf8.count else { throw IOError.last("write", path) }
    }
  }

  /// The root at `place` is not used for now: its layers may go. False: that cannot be said.
  static func rest(_ place: String) -> Bool { rename("\(place)/\(file)", "\(place)/\(resting)") == 0 }

  /// The root at `place`, which rests, is to be used again. False: its layers are not those that it was made of.
  static func resume(
    _ names: [String], _ known: [FileIdentity], for place: String, in store: ImageStore
  ) throws(IOError) -> Bool {
    try store.locked { () throws(IOError) in
      guard let present = try? identities(names, in: store), present == known else { return false }
      return rename("\(place)/\(resting)", "\(place)/\(file)") == 0
    }
  }

  /// Which directories the layers are now.
  static func identities(_ names: [String], in store: ImageStore) throws(IOError) -> [FileIdentity] {
    var result: [FileIdentity] = []
    for name in names {
      var facts = stat()
      let path = store.path(ofLayer: name)
      guard stat(path, &facts) == 0 else { throw IOError.last("look at", path) }
      result.append(FileIdentity(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino)))
    }
    return result
  }

  /// Those of `names` that a root at one of `roots`' places is made of. Under the store's lock.
  static func among(_ names: Set<String>, roots: String) throws(IOError) -> Set<String> {
    var found: Set<String> = []
    if names.isEmpty { return found }
    for place in try places(roots) {
      guard let bytes = try? Files.read("\(roots)/\(place)/\(file)", limit: limit) else { continue }
      for name in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where names.contains(String(name)) {
        found.insert(String(name))
      }
    }
    return found
  }

  private static func places(_ roots: String) throws(IOError) -> [String] {
    do throws(IOError) {
      return try Files.list(roots)
    } catch {
      if error.code == ENOENT { return [] }
      throw error
    }
  }
}
