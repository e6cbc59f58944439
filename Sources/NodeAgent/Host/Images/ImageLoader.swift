// Images from files: `docker save` archives, OCI layouts and archives of them, with every name in them. Reads what they
// are called; skopeo reads the rest. Knows no registry.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

extension ImageFetcher {
  /// One image of a file.
  private struct Source {
    /// As skopeo names it, without the transport.
    var selector: String
    /// What it is called, as the file has it.
    var names: [String]
  }

  private static let link = "source"

  /// Brings in all images of a file or directory. `name`: what an image is called that has no name there.
  func load(
    _ path: String, name: ImageReference?, _ cancellation: ImageCancellation
  ) throws(ImageError) -> [StoredImage] {
    let staging = try begin()
    // A path with a colon would be read as something else by skopeo.
    guard symlink(path, "\(staging.path)/\(Self.link)") == 0 else { throw ImageError(IOError.last("link", path)) }
    var (transport, sources) = try contents(path)
    guard sources.count == 1 || name == nil else {
      throw ImageError("\(path) holds \(sources.count) images: a name is for one")
    }
    if transport == "oci-archive" {
      transport = "oci"
      try expand(path, into: staging, cancellation)
    }
    var images: [StoredImage] = []
    for source in sources {
      let tags = try tags(of: source, in: path, name)
      let selector = source.selector.isEmpty ? "" : ":\(source.selector)"
      var image = try bring(
        "\(transport):\(Self.link)\(selector)", ["--dest-oci-accept-uncompressed-layers"], tags: tags, digests: [],
        staging, cancellation)
      // What is told are the names that came with it, not all that it ever had.
      image.record.tags = tags
      images.append(image)
      try? Files.removeTree("\(staging.path)/layout")
    }
    return images
  }

  /// Takes an OCI layout out of its archive, in the place of the link to it: its plain files alone, by the names that a
  /// layout has. skopeo's own way writes wherever a link of the archive leads.
  private func expand(_ path: String, into staging: ImageStaging, _ cancellation: ImageCancellation) throws(ImageError)
  {
    let target = "\(staging.path)/\(Self.link)"
    do throws(IOError) {
      let reader = try TarReader(
        path: path, contentLimit: limits.contentBytes, isCancelled: { cancellation.isCancelled })
      guard unlink(target) == 0 else { throw IOError.last("remove", target) }
      while let entry = try reader.next() {
        guard entry.kind == .file, let name = Self.layoutName(entry.path) else { continue }
        let parts = name.split(separator: "/")
        try Files.makeDirectory(([target] + parts.dropLast().map(String.init)).joined(separator: "/"))
        try write(entry, of: reader, to: "\(target)/\(name)")
      }
    } catch {
      throw ImageError(error)
    }
  }

  /// Bytes of one file after which the room on the disk is looked at again.
  private static let checkInterval: Int64 = 64 << 20

  private func write(_ entry: TarEntry, of reader: TarReader, to path: String) throws(IOError) {
    var unchecked = Int64.max
    let file = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
    defer { close(file) }
    try reader.read { (piece, offset) throws(IOError) in
      if unchecked >= Self.checkInterval {
        try limits.checkRoom(store.directory)
        unchecked = 0
      }
      unchecked += Int64(piece.count)
      var written = 0
      while written < piece.count {
        let count = pwrite(
          file, piece.baseAddress?.advanced(by: written), piece.count - written, Int(offset) + written)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw IOError.last("write", path) }
        written += count
      }
    }
  }

  /// `index.json`, `oci-layout` or `blobs/sha256/DIGITS`; nil: a layout has no such file.
  private static func layoutName(_ path: [UInt8]) -> String? {
    let parts = path.split(separator: UInt8(ascii: "/")).drop { $0.elementsEqual(".".utf8) }
    let name = parts.map { String(decoding: $0, as: UTF8.self) }
    if name == ["index.json"] || name == ["oci-layout"] { return name[0] }
    return name.count == 3 && name[0] == "blobs" && name[1] == "sha256" && ImageStore.isName(name[2])
      ? name.joined(separator: "/") : nil
  }

  private func tags(of source: Source, in path: String, _ name: ImageReference?) throws(ImageError) -> [String] {
    var tags = name.map { [$0.text] } ?? []
    for text in source.names {
      guard let reference = try? ImageReference(text) else {
        throw ImageError("\(path): \(text) is no image's name")
      }
      tags.append(reference.text)
    }
    guard !tags.isEmpty else {
      throw ImageError("\(path): its image has no name: give it one by --tag NAME:TAG")
    }
    return Set(tags).sorted()
  }

  private func contents(_ path: String) throws(ImageError) -> (transport: String, sources: [Source]) {
    do throws(IOError) {
      if try Files.status(path).isDirectory {
        guard Files.exists("\(path)/index.json") else {
          throw IOError(operation: "load", subject: path, message: "it is no OCI layout: it has no index.json")
        }
        let index = try Files.read("\(path)/index.json", limit: OCILayout.documentLimit)
        return ("oci", try Self.layoutSources(index, path))
      }
      let found = try Self.descriptions(path)
      if let manifest = found["manifest.json"] { return ("docker-archive", try Self.archiveSources(manifest, path)) }
      if let index = found["index.json"] { return ("oci-archive", try Self.layoutSources(index, path)) }
      throw IOError(
        operation: "load", subject: path, message: "it holds no image: neither manifest.json nor index.json is in it")
    } catch {
      throw ImageError(error)
    }
  }

  /// The files of an archive that say what it holds.
  private static func descriptions(_ path: String) throws(IOError) -> [String: [UInt8]] {
    let reader = try TarReader(path: path, contentLimit: 1 << 40)
    var found: [String: [UInt8]] = [:]
    while let entry = try reader.next() {
      let name = entry.path.split(separator: UInt8(ascii: "/")).drop { $0.elementsEqual(".".utf8) }
      let text = name.count == 1 ? String(decoding: name.first ?? [], as: UTF8.self) : ""
      guard entry.kind == .file, text == "manifest.json" || text == "index.json" else { continue }
      guard entry.size <= OCILayout.documentLimit else {
        throw IOError(code: EFBIG, operation: "load", subject: "\(path): \(text)")
      }
      var bytes: [UInt8] = []
      try reader.read { (piece, _) throws(IOError) in bytes += piece }
      found[text] = bytes
      if text == "manifest.json" { break }
    }
    return found
  }

  private static func archiveSources(_ bytes: [UInt8], _ path: String) throws(IOError) -> [Source] {
    guard let images = (try? JSON(parsing: bytes))?.arrayValue, !images.isEmpty else {
      throw IOError(operation: "load", subject: path, message: "its manifest.json lists no images")
    }
    return images.enumerated().map { position, image in
      Source(
        selector: "@\(position)", names: (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue))
    }
  }

  /// A name is the whole reference (containerd's), or a tag alone (image-spec's), which names nothing here.
  private static func layoutSources(_ bytes: [UInt8], _ path: String) throws(IOError) -> [Source] {
    guard let manifests = (try? JSON(parsing: bytes))?["manifests"]?.arrayValue, !manifests.isEmpty else {
      throw IOError(operation: "load", subject: path, message: "its index.json lists no images")
    }
    var sources: [Source] = []
    for manifest in manifests {
      let selector = manifest["annotations"]?["org.opencontainers.image.ref.name"]?.stringValue ?? ""
      let full = manifest["annotations"]?["io.containerd.image.name"]?.stringValue
      guard !selector.isEmpty || manifests.count == 1 else {
        throw IOError(
          operation: "load", subject: path,
          message: "it holds several images, and one of them has no name (org.opencontainers.image.ref.name)")
      }
      let isWhole = selector.contains("/") || selector.contains(":")
      sources.append(Source(selector: selector, names: full.map { [$0] } ?? (isWhole ? [selector] : [])))
    }
    return sources
  }
}
