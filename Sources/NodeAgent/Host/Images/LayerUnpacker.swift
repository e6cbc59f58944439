// Unpacks one layer of an image into a directory, in the form in which overlay file systems stack layers: what is gone
// is a device 0:0, a directory that hides what is below has a mark. Owns what of a layer is left out. Knows no image,
// no store, and whence the layer came.

import CLinux
import ClusterIO
import Glibc

/// One layer on its way from its blob into a directory.
struct LayerUnpacker {
  private let directory: LayerDirectory
  private let reader: TarReader
  private let limits: LayerLimits
  private let isRoot = geteuid() == 0
  private var result = UnpackedLayer()
  private var entries = 0
  private var fileBytes: Int64 = 0
  private var unchecked: Int64 = Int64.max
  /// Mode and time of each directory that the archive names: set last, since every entry in it changes them.
  private var directories: [[FileName]: Attributes] = [:]

  private struct Attributes {
    var mode: UInt32
    var times: [timespec]
  }

  private static let whiteout = [UInt8](".wh.".utf8)
  private static let opaque = [UInt8](".wh..wh..opq".utf8)
  /// Of the union file system that the form of whiteouts comes from.
  private static let foreign = [UInt8](".wh..wh.".utf8)
  /// Bytes after which the room on the disk is looked at again; an entry counts as a page.
  private static let checkInterval: Int64 = 32 << 20

  /// Unpacks `blob` into the empty directory `target`. `blobDigest`, `diffID`: the SHA-256 that the file and what it
  /// expands to must have, as digits. `lower`: directories of the layers below, the topmost first.
  static func run(
    blob: String, blobDigest: String?, diffID: String, into target: String, lower: [String] = [],
    limits: LayerLimits = LayerLimits(), isCancelled: @escaping () -> Bool = { false }
  ) throws(IOError) -> UnpackedLayer {
    let reader = try TarReader(path: blob, contentLimit: limits.contentBytes, isCancelled: isCancelled)
    var unpacker = LayerUnpacker(directory: try LayerDirectory(path: target), reader: reader, limits: limits)
    while let entry = try reader.next() { try unpacker.take(entry) }
    let digests = try reader.finish()
    if let blobDigest, digests.file != blobDigest { throw wrong(.blob, digests.file, blobDigest) }
    if digests.content != diffID { throw wrong(.content, digests.content, diffID) }
    return try unpacker.finish(lower)
  }

  private init(directory: LayerDirectory, reader: TarReader, limits: LayerLimits) {
    self.directory = directory
    self.reader = reader
    self.limits = limits
  }

  private enum Hashed { case blob, content }

  /// EBADMSG tells the blob that is not what its name says from all other errors.
  private static func wrong(_ what: Hashed, _ found: String, _ wanted: String) -> IOError {
    let text =
      what == .blob
      ? "it has the digest sha256:\(found), its manifest says sha256:\(wanted)"
      : "it unpacks to the digest sha256:\(found), its configuration says sha256:\(wanted)"
    return IOError(operation: "unpack", subject: "a layer", message: text, code: what == .blob ? EBADMSG : 0)
  }

  // MARK: - Entries

  private mutating func take(_ entry: TarEntry) throws(IOError) {
    entries += 1
    guard entries <= limits.entries else {
      throw LayerDirectory.refusal(entry.path, "its layer has more than \(limits.entries) entries", code: EFBIG)
    }
    try spend(4096)
    let names = try LayerDirectory.names(entry.path)
    do throws(IOError) {
      guard let name = names.last else { return try takeRoot(entry) }
      if name.starts(with: Self.whiteout) { return try hide(name, in: Array(names.dropLast()), entry) }
      try make(entry, name, in: Array(names.dropLast()))
    } catch {
      throw error.operation == "layer entry" || error.code == ECANCELED
        ? error : LayerDirectory.refusal(entry.path, "\(error)", code: error.code)
    }
  }

  private mutating func takeRoot(_ entry: TarEntry) throws(IOError) {
    guard entry.kind == .directory else { throw LayerDirectory.refusal(entry.path, "it has no name") }
    try own(directory.root, entry)
    directories[[]] = Self.attributes(entry)
  }

  private mutating func make(_ entry: TarEntry, _ name: FileName, in parent: [FileName]) throws(IOError) {
    let (place, found) = try directory.directory(parent)
    switch entry.kind {
    case .directory: try makeDirectory(entry, name, place, found + [name])
    case .file: try makeFile(entry, name, place)
    case .symbolicLink:
      guard entry.link.count <= 4095, !entry.link.isEmpty else { throw Self.refusal(entry, "it leads nowhere") }
      try replacing(name, place) { symlinkat(entry.link.terminated, place, name.terminated) }
      try finishHandle(entry, name, place, mode: false)
    case .hardLink: try makeHardLink(entry, name, in: parent)
    case .fifo:
      try replacing(name, place) { mkfifoat(place, name.terminated, 0o600) }
      try finishHandle(entry, name, place, mode: true)
    // A container may use no device of an image: its root is mounted so.
    case .device: omit("devices")
    case .other: omit("entries of an unknown kind")
    }
  }

  private mutating func makeDirectory(
    _ entry: TarEntry, _ name: FileName, _ place: Int32, _ names: [FileName]
  ) throws(IOError) {
    let text = name.terminated
    var facts = stat()
    let isThere = fstatat(place, text, &facts, AT_SYMLINK_NOFOLLOW) == 0
    let hides = isThere && LayerEntry.isWhiteout(facts)
    if !isThere || facts.st_mode & S_IFMT != S_IFDIR {
      try replacing(name, place) { mkdirat(place, text, 0o700) }
    }
    let made = openat(place, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard made >= 0 else { throw IOError.last("open", "") }
    defer { close(made) }
    if hides { try LayerEntry.setOpaque(made) }
    try own(made, entry)
    directories[names] = Self.attributes(entry)
    directory.named(names)
  }

  private mutating func makeFile(_ entry: TarEntry, _ name: FileName, _ place: Int32) throws(IOError) {
    guard entry.size >= 0 else { throw Self.refusal(entry, "it has a negative size") }
    let total = fileBytes.addingReportingOverflow(entry.size)
    guard !total.overflow, total.partialValue <= limits.fileBytes else {
      throw Self.refusal(entry, "its layer's files have more than \(limits.fileBytes >> 30) GiB", code: EFBIG)
    }
    fileBytes = total.partialValue
    let file = try replacing(name, place) {
      openat(place, name.terminated, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    }
    defer { close(file) }
    try reader.read { (bytes, offset) throws(IOError) in try write(bytes, at: offset, of: entry, to: file) }
    guard ftruncate(file, Int(entry.size)) == 0 else { throw IOError.last("resize", "") }
    try own(file, entry)
    guard fchmod(file, entry.mode & 0o7777) == 0 else { throw IOError.last("chmod", "") }
    futimens(file, LayerEntry.times(entry.modified, entry.modifiedNanoseconds))
  }

  /// Pages of zeros are left out: a file of nothing else takes no room.
  private mutating func write(
    _ bytes: UnsafeRawBufferPointer, at offset: Int64, of entry: TarEntry, to file: Int32
  ) throws(IOError) {
    guard offset >= 0, Int64(bytes.count) <= entry.size - min(offset, entry.size) else {
      throw Self.refusal(entry, "it has more content than it says")
    }
    if Self.isZero(bytes) { return }
    try spend(Int64(bytes.count))
    result.bytes += Int64(bytes.count)
    var written = 0
    while written < bytes.count {
      let count = pwrite(
        file, bytes.baseAddress?.advanced(by: written), bytes.count - written, Int(offset) + written)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw IOError.last("write", "") }
      written += count
    }
  }

  private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count >= 4096, let start = bytes.baseAddress else { return false }
    return bytes[0] == 0 && memcmp(start, start + 1, bytes.count - 1) == 0
  }

  /// The target must be a file of this very layer, by a way without links.
  private mutating func makeHardLink(_ entry: TarEntry, _ name: FileName, in parent: [FileName]) throws(IOError) {
    let target = try LayerDirectory.names(entry.link)
    guard let last = target.last, let from = directory.plainDirectory(Array(target.dropLast())) else {
      throw Self.refusal(entry, "it is a hard link to \(Self.text(entry.link)), which is not in its layer")
    }
    defer { close(from) }
    var facts = stat()
    guard fstatat(from, last.terminated, &facts, AT_SYMLINK_NOFOLLOW) == 0, facts.st_mode & S_IFMT != S_IFDIR,
      !LayerEntry.isWhiteout(facts)
    else {
      throw Self.refusal(entry, "it is a hard link to \(Self.text(entry.link)), which is no file of its layer")
    }
    let (place, found) = try directory.directory(parent)
    // To itself: there it is.
    if found + [name] == target { return }
    try replacing(name, place) { linkat(from, last.terminated, place, name.terminated, 0) }
  }

  private mutating func hide(_ name: FileName, in parent: [FileName], _ entry: TarEntry) throws(IOError) {
    if name == Self.opaque {
      let (place, found) = try directory.directory(parent)
      if found.isEmpty { result.isOpaque = true }
      return try LayerEntry.setOpaque(place)
    }
    if name.starts(with: Self.foreign) { return omit("marks of another union file system") }
    let hidden = FileName(name.dropFirst(Self.whiteout.count))
    guard !hidden.isEmpty, hidden != FileName(".".utf8), hidden != FileName("..".utf8) else {
      throw Self.refusal(entry, "it hides nothing that has a name")
    }
    let (place, _) = try directory.directory(parent)
    let text = hidden.terminated
    if LayerEntry.makeWhiteout(place, text) { return }
    guard errno == EEXIST else { throw IOError.last("mknod", "") }
    // What the layer has itself stays; of a directory only what is below is gone.
    let made = openat(place, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard made >= 0 else { return }
    defer { close(made) }
    try LayerEntry.setOpaque(made)
  }

  // MARK: - One thing

  /// Makes something; what stands in its place goes first.
  @discardableResult
  private func replacing(_ name: FileName, _ place: Int32, _ make: () -> Int32) throws(IOError) -> Int32 {
    let first = make()
    if first >= 0 { return first }
    guard errno == EEXIST else { throw IOError.last("make", "") }
    if unlinkat(place, name.terminated, 0) != 0 {
      let text = String(decoding: name, as: UTF8.self)
      guard errno == EISDIR || errno == EPERM, Array(text.utf8) == name else { throw IOError.last("remove", "") }
      try Files.removeTree("/proc/self/fd/\(place)/\(text)")
    }
    let second = make()
    guard second >= 0 else { throw IOError.last("make", "") }
    return second
  }

  /// Owner and attributes of an open file or directory.
  private mutating func own(_ descriptor: Int32, _ entry: TarEntry) throws(IOError) {
    if isRoot {
      let (user, group) = try Self.owner(entry)
      guard fchown(descriptor, user, group) == 0 else { throw IOError.last("chown", "") }
    }
    for name in try LayerEntry.setAttributes(descriptor, entry) { omit("attributes \(name)") }
  }

  /// Owner, mode and time of what is not opened.
  private func finishHandle(_ entry: TarEntry, _ name: FileName, _ place: Int32, mode: Bool) throws(IOError) {
    let text = name.terminated
    if isRoot {
      let (user, group) = try Self.owner(entry)
      guard fchownat(place, text, user, group, AT_SYMLINK_NOFOLLOW) == 0 else { throw IOError.last("chown", "") }
    }
    // It was made just now, and is no link.
    if mode, fchmodat(place, text, entry.mode & 0o7777, 0) != 0 { throw IOError.last("chmod", "") }
    utimensat(place, text, LayerEntry.times(entry.modified, entry.modifiedNanoseconds), AT_SYMLINK_NOFOLLOW)
  }

  private static func owner(_ entry: TarEntry) throws(IOError) -> (uid_t, gid_t) {
    // The highest number means "leave it" to the kernel.
    let range = 0..<Int64(UInt32.max)
    guard range.contains(entry.user), range.contains(entry.group) else {
      throw refusal(entry, "it belongs to \(entry.user):\(entry.group), which is nobody's number")
    }
    return (uid_t(entry.user), gid_t(entry.group))
  }

  private mutating func omit(_ what: String) {
    // Names of attributes are the image's: no more of them than fit a line.
    guard result.omissions[what] != nil || result.omissions.count < 16 else { return }
    result.omissions[what, default: 0] += 1
  }

  private static func attributes(_ entry: TarEntry) -> Attributes {
    Attributes(mode: entry.mode & 0o7777, times: LayerEntry.times(entry.modified, entry.modifiedNanoseconds))
  }

  private static func refusal(_ entry: TarEntry, _ message: String, code: Int32 = 0) -> IOError {
    LayerDirectory.refusal(entry.path, message, code: code)
  }

  private static func text(_ path: [UInt8]) -> String { String(decoding: path.prefix(200), as: UTF8.self) }

  // MARK: - Bounds and end

  /// Counts bytes, and now and then looks whether the disk has room for more.
  private mutating func spend(_ bytes: Int64) throws(IOError) {
    unchecked = unchecked.addingReportingOverflow(bytes).overflow ? Int64.max : unchecked + bytes
    guard unchecked >= Self.checkInterval else { return }
    unchecked = 0
    try limits.checkRoom(directory.path)
  }

  private mutating func finish(_ lower: [String]) throws(IOError) -> UnpackedLayer {
    directory.forget()
    if directories[[]] == nil { directories[[]] = Attributes(mode: 0o755, times: LayerEntry.times(0, 0)) }
    result.leansOnOthers = !directory.implied.isEmpty
    for names in directory.implied { try imitate(names, lower) }
    // Deep ones first: a directory that says we may not enter it is entered no more.
    for (names, attributes) in directories.sorted(by: { $0.key.count > $1.key.count }) {
      guard let made = directory.plainDirectory(names) else { continue }
      defer { close(made) }
      guard fchmod(made, attributes.mode) == 0 else { throw IOError.last("chmod", directory.path) }
      futimens(made, attributes.times)
    }
    try Files.syncFileSystem(directory.root, directory.path)
    return result
  }

  /// A directory that the archive does not name is as the topmost layer below has it.
  private mutating func imitate(_ names: [FileName], _ lower: [String]) throws(IOError) {
    var mode: UInt32 = 0o755
    var times = LayerEntry.times(0, 0)
    for path in lower {
      guard let other = try? LayerDirectory(path: path), let found = other.plainDirectory(names) else { continue }
      defer { close(found) }
      var facts = stat()
      guard fstat(found, &facts) == 0, let made = directory.plainDirectory(names) else { continue }
      defer { close(made) }
      if isRoot { fchown(made, facts.st_uid, facts.st_gid) }
      mode = facts.st_mode & 0o7777
      times = LayerEntry.times(Int64(facts.st_mtim.tv_sec), Int(facts.st_mtim.tv_nsec))
      break
    }
    directories[names] = Attributes(mode: mode, times: times)
  }
}
