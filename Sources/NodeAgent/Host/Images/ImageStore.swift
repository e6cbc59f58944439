// DATA/images: which images are whole on this node, the directories of their layers, and what is on its way. Owns
// names, records and the lock that agents and commands share. Starts no process; knows no registry and no container.
//
// A layer's directory, and an image's record, appear by a rename, after all of it is on the disk: what a crash leaves
// half done lies in `staging`, which nobody reads.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// One image and where its layers are.
struct StoredImage: Equatable, Sendable {
  /// What it is.
  var record: ImageRecord
  /// Names of its layers' directories below `layers`, the lowest first: from the one on that lets nothing below show.
  var layers: [String]

  /// As its file has it.
  var json: JSON {
    var json = record.json
    json["directories"] = JSON.strings(layers)
    return json
  }

  init(record: ImageRecord, layers: [String]) {
    self.record = record
    self.layers = layers
  }

  init(json: JSON) throws(MessageError) {
    record = try ImageRecord(json: json)
    layers = try MessageReader(json, "image").list("directories", MessageReader.string)
    guard !layers.isEmpty, layers.count <= record.layers.count, layers.allSatisfy(ImageStore.isName) else {
      throw MessageError("image.directories: not those of its layers")
    }
  }
}

/// What is known of a layer that is there.
struct LayerFacts: Equatable, Sendable {
  /// Bytes of its files.
  var bytes: Int64
  /// Nothing of the layers below it shows.
  var isOpaque: Bool
  /// SHA-256 of the blobs that it came from, as digits.
  var blobs: [String]
}

/// The images of one data directory. Everything here may wait for a disk.
struct ImageStore: Sendable {
  /// DATA/images.
  let directory: String

  private static let recordLimit = 16 << 20
  private static let hexLength = 64
  /// Of what lies in `staging` only to be removed: an image's own files, in which nothing is looked up.
  private static let gone = "gone-"

  /// Below `directory`.
  init(directory: String) { self.directory = directory }

  /// Layers by name.
  var layers: String { directory + "/layers" }
  /// A file for each image.
  var records: String { directory + "/records" }
  /// What is on its way.
  var staging: String { directory + "/staging" }
  /// Blobs as skopeo shares them: those that wait to be unpacked, and an empty one of the same size for each that was.
  var blobs: String { directory + "/blobs" }
  /// DATA/roots: the places of containers' roots.
  private var roots: String { Files.split(directory).parent + "/roots" }
  private var blobFiles: String { blobs + "/sha256" }

  /// The directory of a layer.
  func path(ofLayer name: String) -> String { "\(layers)/\(name)" }
  /// The file of a blob with this SHA-256.
  func path(ofBlob hex: String) -> String { "\(blobFiles)/\(hex)" }
  private func factsPath(_ name: String) -> String { "\(layers)/\(name).json" }
  private func recordPath(_ id: String) -> String { "\(records)/\(Self.hex(id)).json" }

  /// Whether a text is a name as layers and records have them.
  static func isName(_ text: String) -> Bool {
    text.utf8.count == hexLength && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// The digits of `sha256:…`; empty: it is none.
  static func hex(_ digest: String) -> String {
    let digits = String(digest.dropFirst("sha256:".count))
    return digest.hasPrefix("sha256:") && isName(digits) ? digits : ""
  }

  /// Makes what is missing. Nobody but us looks into it: programs of images that act as their owner lie in it.
  func make() throws(IOError) {
    for path in [layers, records, staging, blobFiles] { try Files.makeDirectory(path, mode: 0o700) }
    guard chmod(directory, 0o700) == 0 else { throw IOError.last("chmod", directory) }
  }

  /// Runs `body` while no other process changes what is here; short work only.
  func locked<Result>(_ body: () throws(IOError) -> Result) throws(IOError) -> Result {
    let path = directory + "/lock"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw IOError.last("lock", path) }
    }
    defer { flock(descriptor, LOCK_UN) }
    return try body()
  }

  // MARK: - Images

  /// Every image that is whole, by id. `broken`: is told of each file that is none, or whose layers are not there. A
  /// file that cannot be read now fails all: its layers would look as if nobody had them.
  func list(broken: (_ path: String, _ why: String) -> Void = { _, _ in }) throws(IOError) -> [StoredImage] {
    var images: [StoredImage] = []
    for file in try Files.list(records) where file.hasSuffix(".json") {
      let path = "\(records)/\(file)"
      do {
        let image = try StoredImage(
          json: JSON(parsing: try Files.read(path, limit: Self.recordLimit), limits: .stored))
        guard recordPath(image.record.id) == path else { throw MessageError("it is another image's") }
        if let missing = image.layers.first(where: { !Files.exists(self.path(ofLayer: $0)) }) {
          throw MessageError("its layer \(missing) is not there")
        }
        images.append(image)
      } catch let error as IOError where error.code == ENOENT {
        continue
      } catch let error as IOError where error.code != EFBIG {
        throw error
      } catch {
        broken(path, "\(error)")
      }
    }
    return images
  }

  /// Puts an image in, with what it is called; another one that was called so is called so no more. What it is in the
  /// end: an image keeps the names that it had.
  func add(_ image: StoredImage) throws(IOError) -> StoredImage {
    try locked { () throws(IOError) in
      var added = image
      for name in image.layers where !Files.exists(path(ofLayer: name)) {
        throw IOError(operation: "record image", subject: image.record.id, message: "its layer \(name) is gone")
      }
      for other in try list() {
        var changed = other
        if other.record.id == image.record.id {
          added.record.tags = Self.union(other.record.tags, image.record.tags)
          added.record.digests = Self.union(other.record.digests, image.record.digests)
          continue
        }
        changed.record.tags.removeAll { image.record.tags.contains($0) }
        changed.record.digests.removeAll { image.record.digests.contains($0) }
        if changed != other { try write(changed) }
      }
      try write(added)
      return added
    }
  }

  private static func union(_ left: [String], _ right: [String]) -> [String] { Set(left + right).sorted() }

  private func write(_ image: StoredImage) throws(IOError) {
    try Files.writeAtomically(recordPath(image.record.id), image.json.bytes)
  }

  /// Takes a tag from an image; where it was the last name, the image goes as by `remove(id:)`.
  func removeTag(_ tag: String) throws(IOError) {
    let isLast = try locked { () throws(IOError) -> String? in
      guard var image = try list().first(where: { $0.record.tags.contains(tag) }) else { return nil }
      if image.record.tags == [tag] { return image.record.id }
      image.record.tags.removeAll { $0 == tag }
      try write(image)
      return nil
    }
    if let isLast { try remove(id: isLast) }
  }

  /// Removes an image, and each of its layers that no other image has. Refused while a container's root is made of
  /// them (EBUSY).
  func remove(id: String) throws(IOError) {
    let gone = try locked { () throws(IOError) -> [String] in
      let images = try list()
      guard let image = images.first(where: { $0.record.id == id }) else {
        unlink(recordPath(id))
        return []
      }
      let others = Set(images.filter { $0.record.id != id }.flatMap(\.layers)).union(try pinned())
      let own = image.layers.filter { !others.contains($0) }
      let inUse = try RootLayers.among(Set(own), roots: roots)
      guard inUse.isEmpty else {
        throw IOError(
          operation: "remove image", subject: image.record.tags.first ?? id, message: "a container runs on it",
          code: EBUSY)
      }
      unlink(recordPath(id))
      try Files.syncDirectory(records)
      return try retire(own)
    }
    for path in gone { try Files.removeTree(path) }
  }

  // MARK: - Layers

  /// What is known of a layer; nil: it is not there.
  func facts(ofLayer name: String) -> LayerFacts? {
    guard Files.exists(path(ofLayer: name)),
      let json = try? JSON(parsing: Files.read(factsPath(name), limit: Self.recordLimit), limits: .stored)
    else { return nil }
    return LayerFacts(
      bytes: json["bytes"]?.intValue ?? 0, isOpaque: json["opaque"]?.boolValue ?? false,
      blobs: (json["blobs"]?.arrayValue ?? []).compactMap(\.stringValue))
  }

  /// Puts an unpacked layer in its place. One that is there already stays, and `unpacked` goes.
  func addLayer(_ unpacked: String, name: String, _ facts: LayerFacts) throws(IOError) {
    let isNew = try locked { () throws(IOError) in
      if Files.exists(path(ofLayer: name)) { return false }
      let json: JSON = [
        "bytes": .int(facts.bytes), "opaque": .bool(facts.isOpaque), "blobs": JSON.strings(facts.blobs),
      ]
      try Files.writeAtomically(factsPath(name), json.bytes)
      guard rename(unpacked, path(ofLayer: name)) == 0 else { throw IOError.last("rename", unpacked) }
      try Files.syncDirectory(layers)
      return true
    }
    if !isNew { try Files.removeTree(unpacked) }
  }

  /// Has skopeo take a blob for fetched from now on: its layer is there. The file keeps its size, not its content.
  func emptyBlob(_ hex: String) {
    guard let size = try? Files.status(path(ofBlob: hex)).size else { return }
    let path = "\(path(ofBlob: hex)).empty"
    guard let descriptor = try? Files.openToWrite(path, O_WRONLY | O_CREAT | O_TRUNC) else { return }
    defer { close(descriptor) }
    if ftruncate(descriptor, Int(size)) != 0 || rename(path, self.path(ofBlob: hex)) != 0 { unlink(path) }
  }

  /// Takes layers out of their place, with what stands for their blobs; returns where they are now, to be removed.
  /// Under the lock.
  func retire(_ names: [String]) throws(IOError) -> [String] {
    var gone: [String] = []
    for name in names {
      for blob in facts(ofLayer: name)?.blobs ?? [] where Self.isName(blob) { unlink(path(ofBlob: blob)) }
      let path = "\(staging)/\(Self.gone)\(name)-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
      guard rename(self.path(ofLayer: name), path) == 0 || errno == ENOENT else {
        throw IOError.last("rename", self.path(ofLayer: name))
      }
      unlink(factsPath(name))
      gone.append(path)
    }
    return gone
  }

  /// Layers that somebody who is at work needs, whether or not an image has them yet. Under the lock.
  func pinned() throws(IOError) -> Set<String> {
    var names: Set<String> = []
    for claim in try Files.list(staging) where !claim.hasPrefix(Self.gone) {
      let text = (try? Files.read("\(staging)/\(claim)/\(ImageStaging.pins)", limit: Self.recordLimit)) ?? []
      names.formUnion(text.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) })
    }
    return names
  }

  /// Removes what a crash, or a removal that a disk held up, has left: at a start. Blobs of pulls that were cut short
  /// stay for `blobSeconds`, so that they need not be fetched again.
  func sweep(blobSeconds: Int64 = 86_400) throws(IOError) {
    let gone = try locked { () throws(IOError) -> [String] in
      var gone: [String] = []
      for claim in try Files.list(staging) {
        let path = "\(staging)/\(claim)"
        let isRemoval = claim.hasPrefix(Self.gone)
        if !isRemoval, FileLock.isHeld("\(path)/\(ImageStaging.lock)") { continue }
        // Whoever made it is gone, and so are the pins in it.
        if !isRemoval { unlink("\(path)/\(ImageStaging.pins)") }
        gone.append(path)
      }
      var used = try pinned()
      var blobs: Set<String> = []
      for image in try list(broken: { path, _ in unlink(path) }) { used.formUnion(image.layers) }
      let names = try Files.list(layers)
      let there = names.filter(Self.isName)
      let unused = there.filter { !used.contains($0) }
      let inUse = try RootLayers.among(Set(unused), roots: roots)
      gone += try retire(unused.filter { !inUse.contains($0) })
      for name in there { blobs.formUnion(facts(ofLayer: name)?.blobs ?? []) }
      for name in names where !Self.isName(name) && !Files.exists(path(ofLayer: String(name.prefix(64)))) {
        unlink("\(layers)/\(name)")
      }
      for name in try Files.list(records) where !name.hasSuffix(".json") { unlink("\(records)/\(name)") }
      let oldest = Clocks.now().wall - blobSeconds * 1_000_000_000
      for blob in try Files.list(blobFiles) where !blobs.contains(blob) {
        let path = "\(blobFiles)/\(blob)"
        if (try? Files.status(path))?.modified ?? 0 < oldest { unlink(path) }
      }
      return gone
    }
    for path in gone { try Files.removeTree(path) }
  }
}
