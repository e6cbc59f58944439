// A layer becomes what overlay file systems stack, and nothing of it reaches outside its directory.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// One layer and where it goes.
private struct Unpacking {
  let scratch: Scratch
  var target: String { "\(scratch.path)/layer" }

  init(below parent: String = "/tmp") throws {
    scratch = try Scratch(below: parent)
    try Files.makeDirectory(target)
  }

  @discardableResult
  func run(
    _ blob: [UInt8], content: [UInt8]? = nil, diffID: String? = nil, lower: [String] = [],
    limits: LayerLimits = LayerLimits()
  ) throws -> UnpackedLayer {
    let path = "\(scratch.path)/blob"
    try Files.writeAtomically(path, blob)
    return try LayerUnpacker.run(
      blob: path, blobDigest: SHA256.hex(of: blob), diffID: diffID ?? SHA256.hex(of: content ?? blob), into: target,
      lower: lower, limits: limits)
  }

  /// What it says of a layer that it refuses.
  func refusal(_ blob: [UInt8], limits: LayerLimits = LayerLimits()) -> String {
    do {
      try run(blob, limits: limits)
      return "taken"
    } catch {
      return "\(error)"
    }
  }

  func facts(_ name: String) -> stat {
    var facts = stat()
    lstat("\(target)/\(name)", &facts)
    return facts
  }

  func isWhiteout(_ name: String) -> Bool {
    LayerEntry.isWhiteout(AT_FDCWD, Array("\(target)/\(name)".utf8).terminated)
  }

  func isOpaque(_ name: String) -> Bool {
    let descriptor = open("\(target)/\(name)", O_RDONLY)
    defer { close(descriptor) }
    return LayerEntry.isOpaque(descriptor)
  }
}

@Suite("A layer is unpacked") struct LayerUnpackTests {
  @Test("files, directories, links and pipes have their content, mode, owner and time")
  func everything() throws {
    let unpacking = try Unpacking()
    let result = try unpacking.run(
      TarBuilder.made { tar in
        tar.directory("./")
        tar.directory("bin/", mode: 0o1777, user: 5, group: 6)
        tar.add("bin/su", mode: 0o4755, user: 0, group: 7, content: Array("#!".utf8))
        tar.symlink("bin/sh", "/bin/su")
        tar.hardLink("bin/again", "bin/su")
        tar.add("bin/pipe", type: "6", mode: 0o640)
        tar.file("grün/é", "x")
        tar.file(String(repeating: "long/", count: 60) + "name", "deep")
      })
    let owner = isRoot ? "5:6" : "\(geteuid()):\(getegid())"
    let lines = try tree(unpacking.target).filter { !$0.contains("long") }
    let expected = [
      "d 1777 \(owner) bin", "f 4755 \(isRoot ? "0:7" : owner) bin/again", "p 640 \(isRoot ? "0:0" : owner) bin/pipe",
      "l 777 \(isRoot ? "0:0" : owner) bin/sh", "f 4755 \(isRoot ? "0:7" : owner) bin/su",
      "d 755 \(isRoot ? "0:0" : owner) grün", "f 644 \(isRoot ? "0:0" : owner) grün/é",
    ]
    #expect(lines == expected)
    #expect(unpacking.facts("bin/su").st_nlink == 2)
    #expect(unpacking.facts("bin/su").st_mtim.tv_sec == 1_000_000_000)
    #expect(unpacking.facts("bin").st_mtim.tv_sec == 1_000_000_000)
    #expect(text("\(unpacking.target)/" + String(repeating: "long/", count: 60) + "name") == "deep")
    #expect(result.bytes == 7)
    #expect(result.leansOnOthers, "long/ and grün/ are not in the archive")
  }

  @Test("gzip is expanded, also two streams of it, and one of nothing")
  func compressed() throws {
    let tar = TarBuilder.made { $0.file("a", "1") }
    let first = try Unpacking()
    try first.run(gzip(tar), content: tar)
    let second = try Unpacking()
    try second.run(gzip(Array(tar[..<700])) + gzip(Array(tar[700...])), content: tar)
    #expect(text("\(first.target)/a") == "1" && text("\(second.target)/a") == "1")
    let unpadded = try Unpacking()
    try unpadded.run(Array(tar[..<513]))
    #expect(text("\(unpadded.target)/a") == "1", "without the zeros behind it")
    let empty = try Unpacking()
    try empty.run(gzip(TarBuilder().archive), content: TarBuilder().archive)
    #expect(try tree(empty.target).isEmpty)
  }

  @Test("a later entry of the same name replaces the one before, whatever both are")
  func replacement() throws {
    let unpacking = try Unpacking()
    try unpacking.run(
      TarBuilder.made { tar in
        tar.file("a", "old")
        tar.hardLink("b", "a")
        tar.file("a", "new")
        tar.directory("c/")
        tar.file("c/d")
        tar.symlink("c", "a")
        tar.symlink("e", "/etc")
        tar.directory("e/", mode: 0o711)
        tar.directory("f/", mode: 0o700)
        tar.file("f/g")
        tar.directory("f/", mode: 0o755)
      })
    #expect(text("\(unpacking.target)/a") == "new" && text("\(unpacking.target)/b") == "old")
    #expect(unpacking.facts("c").st_mode & S_IFMT == S_IFLNK)
    #expect(unpacking.facts("e").st_mode == S_IFDIR | 0o711)
    #expect(unpacking.facts("f").st_mode == S_IFDIR | 0o755 && Files.exists("\(unpacking.target)/f/g"))
  }

  @Test("whiteouts become devices 0:0 and marks, also of what is not there, in either order with what replaces it")
  func whiteouts() throws {
    let unpacking = try Unpacking()
    try unpacking.run(
      TarBuilder.made { tar in
        tar.file("gone/.wh.file")
        tar.file("hidden/.wh..wh..opq")
        tar.file("hidden/kept")
        tar.file(".wh.first")
        tar.directory("first/")
        tar.directory("second/")
        tar.file(".wh.second")
        tar.file(".wh.third")
        tar.file("third/inside")
        tar.file("own")
        tar.file(".wh.own")
        tar.file(".wh..wh.plnk")
      })
    #expect(unpacking.isWhiteout("gone/file"))
    #expect(unpacking.isOpaque("hidden") && Files.exists("\(unpacking.target)/hidden/kept"))
    #expect(unpacking.isOpaque("first") && unpacking.isOpaque("second") && unpacking.isOpaque("third"))
    #expect(!unpacking.isOpaque("gone"))
    #expect(unpacking.facts("own").st_mode & S_IFMT == S_IFREG)
    #expect(!Files.exists("\(unpacking.target)/.wh..wh.plnk"))
  }

  @Test("a layer that hides all below says so")
  func opaqueRoot() throws {
    #expect(try Unpacking().run(TarBuilder.made { $0.file(".wh..wh..opq") }).isOpaque)
    #expect(try !Unpacking().run(TarBuilder.made { $0.file("a") }).isOpaque)
  }

  @Test("a directory that the archive leaves out is as the layers below have it")
  func implied() throws {
    let below = try Unpacking()
    try below.run(TarBuilder.made { $0.directory("tmp/", mode: 0o1777, user: 3, group: 4) })
    let unpacking = try Unpacking()
    let result = try unpacking.run(TarBuilder.made { $0.file("tmp/a") }, lower: [below.target])
    #expect(result.leansOnOthers)
    #expect(unpacking.facts("tmp").st_mode == S_IFDIR | 0o1777)
    if isRoot { #expect(unpacking.facts("tmp").st_uid == 3) }
  }

  @Test("attributes that give rights to a program or are the user's are kept, others and the overlay's are not")
  func attributes() throws {
    let unpacking = try Unpacking()
    let capability: [UInt8] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let result = try unpacking.run(
      TarBuilder.made { tar in
        tar.add(
          "ping", mode: 0o755, content: [1],
          records: [
            ("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", [65]),
            ("SCHILY.xattr.trusted.overlay.redirect", Array("/etc".utf8)),
            ("SCHILY.xattr.user.overlay.opaque", [121]), ("SCHILY.xattr.security.selinux", [1]),
          ])
      })
    let descriptor = open("\(unpacking.target)/ping", O_RDONLY)
    defer { close(descriptor) }
    if isRoot { #expect(Files.attribute(descriptor, "security.capability") == capability) }
    #expect(Files.attribute(descriptor, "user.note") == [65])
    #expect(Files.attribute(descriptor, "trusted.overlay.redirect") == nil)
    #expect(Files.attribute(descriptor, "user.overlay.opaque") == nil)
    #expect(result.omissions.count == (isRoot ? 3 : 4))
  }

  @Test("devices are left out and counted")
  func devices() throws {
    let unpacking = try Unpacking()
    let result = try unpacking.run(
      TarBuilder.made { tar in
        tar.add("disk", type: "4", mode: 0o666)
        tar.add("null", type: "3", mode: 0o666)
      })
    #expect(result.omissions == ["devices": 2])
    #expect(try tree(unpacking.target).isEmpty)
  }
}

@Suite("A bad layer") struct BadLayerTests {
  private static let outside = "/tmp/stint-outside-of-a-layer"

  @Test(
    "with a path that leads out, or with none, is refused by name",
    arguments: [
      ("../a", "its path leads upwards (..)"), ("a/../../b", "its path leads upwards (..)"),
      ("a/" + String(repeating: "b", count: 256), "a name in it has more than 255 bytes"),
      (String(repeating: "a/", count: 2100) + "b", "its path has more than 4095 bytes"),
      ("d/.wh.", "it hides nothing that has a name"), (".wh...", "it hides nothing that has a name"),
      (".wh..", "it hides nothing that has a name"), (".", "it has no name"),
    ])
  func paths(path: String, why: String) throws {
    let unpacking = try Unpacking()
    #expect(unpacking.refusal(TarBuilder.made { $0.file(path, "x") }).hasSuffix(": \(why)"))
  }

  @Test("with absolute paths and links on the way stays in its directory")
  func links() throws {
    let unpacking = try Unpacking()
    try unpacking.run(
      TarBuilder.made { tar in
        tar.file(Self.outside, "absolute")
        tar.symlink("etc", "/inner")
        tar.file("etc/passwd", "x")
        tar.symlink("up", "../../../../../..")
        tar.file("up/tmp/up", "y")
        tar.symlink("twice", "up/etc")
        tar.file("twice/.wh.hosts")
      })
    #expect(!Files.exists(Self.outside))
    #expect(text("\(unpacking.target)\(Self.outside)") == "absolute")
    #expect(text("\(unpacking.target)/inner/passwd") == "x" && text("\(unpacking.target)/tmp/up") == "y")
    #expect(unpacking.isWhiteout("inner/hosts"))
  }

  @Test("with links that go round, or a file where a directory must be, is refused")
  func blocked() throws {
    let round = TarBuilder.made { tar in
      tar.symlink("a", "b")
      tar.symlink("b", "a")
      tar.file("a/x")
    }
    #expect(try Unpacking().refusal(round) == "layer entry a: too many links on its way")
    let blocked = TarBuilder.made { tar in
      tar.file("a")
      tar.file("a/x")
    }
    #expect(try Unpacking().refusal(blocked) == "layer entry a: a file stands in its way")
  }

  @Test(
    "with a hard link to what is not a file of its own is refused",
    arguments: [
      ("/etc/passwd", "it is a hard link to /etc/passwd, which is not in its layer"),
      ("../../etc/passwd", "its path leads upwards (..)"),
      ("link/passwd", "it is a hard link to link/passwd, which is not in its layer"),
      ("gone", "it is a hard link to gone, which is no file of its layer"),
      ("absent", "it is a hard link to absent, which is no file of its layer"),
      ("dir", "it is a hard link to dir, which is no file of its layer"),
    ])
  func hardLinks(target: String, why: String) throws {
    let layer = TarBuilder.made { tar in
      tar.symlink("link", "/etc")
      tar.file(".wh.gone")
      tar.directory("dir/")
      tar.hardLink("mine", target)
    }
    #expect(try Unpacking().refusal(layer).hasSuffix(": \(why)"))
  }

  @Test("with an owner that is nobody's number is refused", .enabled(if: isRoot))
  func owner() throws {
    let layer = TarBuilder.made { $0.add("a", user: 4_294_967_295) }
    #expect(
      try Unpacking().refusal(layer) == "layer entry a: it belongs to 4294967295:0, which is nobody's number")
  }

  @Test("that is cut, garbled or not what its digest says is refused")
  func damage() throws {
    let tar = TarBuilder.made { tar in
      tar.add("a", content: noise(100_000))
    }
    let whole = gzip(tar)
    var garbled = whole
    for position in 5_000..<5_100 { garbled[position] ^= 0xff }
    for blob in [Array(whole[..<(whole.count / 2)]), garbled, Array(tar[..<2_000]), [], Array("no archive".utf8)] {
      let unpacking = try Unpacking()
      let path = "\(unpacking.scratch.path)/blob"
      try Files.writeAtomically(path, blob)
      #expect(throws: IOError.self) {
        try LayerUnpacker.run(
          blob: path, blobDigest: SHA256.hex(of: blob), diffID: SHA256.hex(of: tar), into: unpacking.target)
      }
    }
    let wrong = String(repeating: "0", count: 64)
    #expect(throws: IOError.self) { try Unpacking().run(whole, diffID: wrong) }
    let unpacking = try Unpacking()
    try Files.writeAtomically("\(unpacking.scratch.path)/blob", whole)
    let error = #expect(throws: IOError.self) {
      try LayerUnpacker.run(
        blob: "\(unpacking.scratch.path)/blob", blobDigest: wrong, diffID: SHA256.hex(of: tar), into: unpacking.target)
    }
    #expect(error?.code == EBADMSG && error?.message.contains("its manifest says sha256:\(wrong)") == true)
  }

  @Test("with more than it may have of entries, bytes or content is refused")
  func bounds() throws {
    let many = TarBuilder.made { tar in for number in 0..<20 { tar.file("f\(number)", "text") } }
    #expect(try Unpacking().refusal(many, limits: LayerLimits(entries: 10)).hasSuffix("more than 10 entries"))
    #expect(
      try Unpacking().refusal(many, limits: LayerLimits(fileBytes: 40)).hasSuffix("files have more than 0 GiB"))
    #expect(
      try Unpacking().refusal(many, limits: LayerLimits(contentBytes: 2_000)).hasSuffix("more than 0 MiB"))
  }

  @Test("of a 3 GiB file of nothing takes no room, whether the archive says so or has the zeros")
  func sparse() throws {
    let map = "0,512,\(3 << 30),0"
    let unpacking = try Unpacking()
    let result = try unpacking.run(
      TarBuilder.made { tar in
        tar.add(
          "sparse", content: [UInt8](repeating: 1, count: 512),
          records: [
            ("GNU.sparse.map", Array(map.utf8)), ("GNU.sparse.size", Array("\(3 << 30)".utf8)),
            ("GNU.sparse.numblocks", Array("2".utf8)),
          ])
        tar.add("zeros", content: [UInt8](repeating: 0, count: 32 << 20))
      })
    #expect(unpacking.facts("sparse").st_size == 3 << 30)
    #expect(unpacking.facts("zeros").st_size == 32 << 20)
    #expect(unpacking.facts("sparse").st_blocks + unpacking.facts("zeros").st_blocks < 64)
    #expect(result.bytes < 8_192)
  }

  @Test("of 100,000 files is unpacked in seconds")
  func manyFiles() throws {
    // In memory: some file systems look long for numbers that were not in use a moment ago.
    let unpacking = try Unpacking(below: Files.exists("/dev/shm") ? "/dev/shm" : "/tmp")
    let blob = "\(unpacking.scratch.path)/blob"
    let program = """
      import sys, tarfile
      with tarfile.open(sys.argv[1], "w") as tar:
          for number in range(100000): tar.addfile(tarfile.TarInfo("d%d/f%d" % (number // 1000, number)))
      """
    #expect(try run("/usr/bin/python3", "-c", program, blob))
    let result = try LayerUnpacker.run(
      blob: blob, blobDigest: nil, diffID: SHA256.hex(of: try Files.read(blob)), into: unpacking.target)
    #expect(result.leansOnOthers)
    #expect(try Files.list("\(unpacking.target)/d99").count == 1_000)
  }

  @Test("on a disk that is full is a clear error, and the disk's other users keep room", .enabled(if: isRoot))
  func fullDisk() throws {
    let scratch = try Scratch()
    #expect(try run("/bin/mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", scratch.path))
    defer { _ = try? run("/bin/umount", scratch.path) }
    let tar = TarBuilder.made { tar in
      for number in 0..<10 { tar.add("f\(number)", content: [UInt8](repeating: 7, count: 10 << 20)) }
    }
    let blob = "/tmp/stint-full-\(getpid())"
    try Files.writeAtomically(blob, gzip(tar))
    defer { unlink(blob) }
    try Files.makeDirectory("\(scratch.path)/layer")
    let error = #expect(throws: IOError.self) {
      try LayerUnpacker.run(
        blob: blob, blobDigest: nil, diffID: SHA256.hex(of: tar), into: "\(scratch.path)/layer")
    }
    #expect(error?.code == ENOSPC)
  }

  @Test("that nobody waits for any more is given up")
  func cancelled() throws {
    let unpacking = try Unpacking()
    let tar = TarBuilder.made { $0.file("a") }
    try Files.writeAtomically("\(unpacking.scratch.path)/blob", tar)
    let error = #expect(throws: IOError.self) {
      try LayerUnpacker.run(
        blob: "\(unpacking.scratch.path)/blob", blobDigest: nil, diffID: SHA256.hex(of: tar), into: unpacking.target,
        isCancelled: { true })
    }
    #expect(error?.code == ECANCELED)
  }
}
