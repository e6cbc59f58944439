// One image from a registry into the store: skopeo copies it, each layer that is not there is unpacked once, then its
// record is written. Everything here waits for networks and disks: threads call it. Knows no pod and no policy.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// Fetches images into one store.
struct ImageFetcher: Sendable {
  let store: ImageStore
  let skopeo: Skopeo
  var limits = LayerLimits()

  /// Images that a thread of this process brings in and layers that one unpacks: others that want the same wait for it.
  private static let busy = Mutex<Set<String>>([])

  /// Fetches what a reference leads to now; what is there already is not fetched again. `credentials`: the text of an
  /// auth.json, nil: what the agent's own user has.
  func pull(
    _ reference: ImageReference, credentials: [UInt8]?, _ cancellation: ImageCancellation
  ) throws(ImageError) -> StoredImage {
    let staging = try begin()
    var flags = Self.isLoopback(reference.registry) ? ["--tls-verify=false"] : []
    if let credentials {
      try write("\(staging.path)/auth.json", credentials)
      flags += ["--authfile", "auth.json"]
    }
    let manifest = try manifest(reference.text, flags, staging, cancellation)
    let digest = reference.digest ?? "sha256:\(SHA256.hex(of: manifest))"
    let name = "\(reference.name)@\(digest)"
    let tags = reference.digest == nil ? [reference.text] : []
    try claim(digest, cancellation)
    defer { release(digest) }
    if let known = try known(digest, name: name, tags: tags) { return known }
    let copyFlags = flags.map { $0.hasPrefix("--tls") ? "--src-\($0.dropFirst(2))" : $0 }
    let most = try bytes(of: manifest, reference, flags, staging, cancellation)
    return try bring(
      "docker://\(name)", copyFlags, most: most, tags: tags, digests: [name], staging, cancellation)
  }

  /// An image whose manifest has this digest is this image, whatever registry it came from.
  private func known(_ digest: String, name: String, tags: [String]) throws(ImageError) -> StoredImage? {
    do throws(IOError) {
      let images = try store.list()
      guard var image = images.first(where: { $0.record.digests.contains { $0.hasSuffix("@\(digest)") } }) else {
        return nil
      }
      image.record.tags += tags
      image.record.digests.append(name)
      image.record.tags = Set(image.record.tags).sorted()
      image.record.digests = Set(image.record.digests).sorted()
      return try store.add(image)
    } catch {
      throw ImageError(error)
    }
  }

  /// The manifest, or the index of manifests, that a name leads to.
  private func manifest(
    _ name: String, _ flags: [String], _ staging: ImageStaging, _ cancellation: ImageCancellation
  ) throws(ImageError) -> [UInt8] {
    try skopeo.run(
      ["inspect", "--raw"] + flags + ["docker://\(name)"], in: staging.path, limit: OCILayout.documentLimit,
      cancellation: cancellation)
  }

  /// How much a registry may send of an image, by its own words; nil: it does not say.
  private func bytes(
    of manifest: [UInt8], _ reference: ImageReference, _ flags: [String], _ staging: ImageStaging,
    _ cancellation: ImageCancellation
  ) throws(ImageError) -> Int64? {
    do throws(IOError) {
      if let bytes = try OCILayout.announcedBytes(manifest) { return bytes }
      guard let own = OCILayout.ownManifest(inIndex: manifest) else { return nil }
      let document: [UInt8]
      do throws(ImageError) {
        document = try self.manifest("\(reference.name)@\(own)", flags, staging, cancellation)
      } catch {
        throw IOError(
          operation: "skopeo", subject: "", message: error.message, code: error.isCancelled ? ECANCELED : 0)
      }
      return try OCILayout.announcedBytes(document)
    } catch {
      throw ImageError(error)
    }
  }

  /// A registry on this very machine may speak without TLS, as for Docker and containerd.
  static func isLoopback(_ registry: String) -> Bool {
    let host = registry.hasPrefix("[") ? registry : String(registry.prefix { $0 != ":" })
    return host == "localhost" || host.hasPrefix("127.") || host.hasPrefix("[::1]")
  }

  /// Waits until no other thread of this process is at work on it.
  private func claim(_ what: String, _ cancellation: ImageCancellation) throws(ImageError) {
    while !Self.busy.withLock({ $0.insert("\(store.directory) \(what)").inserted }) {
      if cancellation.isCancelled { throw ImageError("canceled", isCancelled: true) }
      poll(nil, 0, 10)
    }
  }

  private func release(_ what: String) { _ = Self.busy.withLock { $0.remove("\(store.directory) \(what)") } }

  // MARK: - From skopeo's layout into the store

  /// A place to work in.
  func begin() throws(ImageError) -> ImageStaging {
    do throws(IOError) {
      try limits.checkRoom(store.directory)
      return try ImageStaging(store)
    } catch {
      throw ImageError(error)
    }
  }

  private func write(_ path: String, _ bytes: [UInt8]) throws(ImageError) {
    do throws(IOError) {
      try Files.writeAtomically(path, bytes)
    } catch {
      throw ImageError(error)
    }
  }

  /// Copies `source` and unpacks it. Of blobs that turn out not to be what they are called (another process took a
  /// layer away meanwhile, a machine lost power), a second copy brings the right ones. `most`: bytes that may come.
  func bring(
    _ source: String, _ flags: [String], most: Int64? = nil, tags: [String], digests: [String], _ staging: ImageStaging,
    _ cancellation: ImageCancellation
  ) throws(ImageError) -> StoredImage {
    var isLast = false
    while true {
      _ = try skopeo.run(
        ["copy", "--quiet", "--retry-times", "0", "--dest-shared-blob-dir", store.blobs] + flags
          + [source, "oci:layout:image"],
        in: staging.path, watched: staging.path, most: most, cancellation: cancellation,
        check: { () throws(IOError) in try limits.checkRoom(store.directory) })
      do throws(IOError) {
        return try take(tags: tags, digests: digests, staging, cancellation)
      } catch {
        guard !isLast, error.code == EBADMSG || error.code == ENOENT else { throw ImageError(error) }
        isLast = true
      }
    }
  }

  private func take(
    tags: [String], digests: [String], _ staging: ImageStaging, _ cancellation: ImageCancellation
  ) throws(IOError) -> StoredImage {
    let image = try OCILayout.read("\(staging.path)/layout", blob: store.path(ofBlob:))
    // Before anything of it is relied on.
    try staging.pin(image.layers.flatMap { [$0.diffID, $0.chainID] }, in: store)
    var names: [String] = []
    for layer in image.layers { names.append(try self.layer(layer, above: names, staging, cancellation)) }
    for hex in image.descriptions { unlink(store.path(ofBlob: hex)) }
    // Below a layer that hides everything nothing has to be kept.
    let shown = Array(names[(names.lastIndex { store.facts(ofLayer: $0)?.isOpaque == true } ?? 0)...])
    let top = Array(shown.map(store.path(ofLayer:)).reversed())
    let record = ImageRecord(
      id: image.id, tags: tags.sorted(), digests: digests.sorted(),
      bytes: shown.reduce(0) { $0 + (store.facts(ofLayer: $1)?.bytes ?? 0) },
      layers: image.layers.map { "sha256:\($0.diffID)" }, configuration: image.configuration,
      passwd: try ImageUsers.read("passwd", layers: top), group: try ImageUsers.read("group", layers: top))
    return try store.add(StoredImage(record: record, layers: shown))
  }

  /// The name of a layer's directory, which is there then. A layer that leaves out directories is what it is by those
  /// below it, and shared by images only that have these too.
  private func layer(
    _ layer: OCIImage.Layer, above names: [String], _ staging: ImageStaging, _ cancellation: ImageCancellation
  ) throws(IOError) -> String {
    // No image has a layer's bare digits for its digest.
    do throws(ImageError) {
      try claim(layer.diffID, cancellation)
    } catch {
      throw IOError(code: ECANCELED, operation: "unpack")
    }
    defer { release(layer.diffID) }
    for name in [layer.diffID, layer.chainID] {
      guard let facts = store.facts(ofLayer: name) else { continue }
      // It was fetched although its layer is there: under another name, or as no blob stands for such a layer.
      if !facts.blobs.contains(layer.blob) { unlink(store.path(ofBlob: layer.blob)) }
      return name
    }
    let target = "\(staging.path)/layer"
    let blob = store.path(ofBlob: layer.blob)
    do throws(IOError) {
      try Files.makeDirectory(target, mode: 0o755)
      let unpacked = try LayerUnpacker.run(
        blob: blob, blobDigest: layer.blob, diffID: layer.diffID, into: target,
        lower: names.reversed().map(store.path(ofLayer:)), limits: limits,
        isCancelled: { cancellation.isCancelled })
      let name = unpacked.leansOnOthers ? layer.chainID : layer.diffID
      let isShared = name == layer.diffID
      note(unpacked, of: layer)
      try store.addLayer(
        target, name: name,
        LayerFacts(bytes: unpacked.bytes, isOpaque: unpacked.isOpaque, blobs: isShared ? [layer.blob] : []))
      if isShared { store.emptyBlob(layer.blob) } else { unlink(blob) }
      return name
    } catch {
      // A blob that was not unpacked is no use: the next try gets another.
      if error.code != ECANCELED, error.code != ENOSPC { unlink(blob) }
      try? Files.removeTree(target)
      throw error
    }
  }

  private func note(_ unpacked: UnpackedLayer, of layer: OCIImage.Layer) {
    guard !unpacked.omissions.isEmpty else { return }
    let parts = unpacked.omissions.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
    HostLog.line("images: left out of layer sha256:\(layer.diffID): \(parts.joined(separator: ", "))")
  }
}
