// Images come from files with all their names, and what they unpack to is what umoci unpacks.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("Images are loaded from files", .serialized) struct ImageLoadTests {
  private let scratch: Scratch
  private var images: NodeImages { NodeImages(data: "\(scratch.path)/data") }

  init() throws { scratch = try Scratch() }

  private func layout(_ name: String? = "tools:1", _ change: (inout LayoutBuilder) -> Void = { _ in }) throws -> String
  {
    let path = "\(scratch.path)/layout-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
    var builder = LayoutBuilder()
    builder.layers = [TarBuilder.made { $0.file("bin/tool", "x", mode: 0o755) }]
    change(&builder)
    try builder.write(path, name: name)
    return path
  }

  private func skopeo(_ arguments: String...) throws {
    let copied = try output(["/usr/bin/skopeo", "--insecure-policy", "copy"] + arguments)
    #expect(copied.isDone, "\(copied.text)")
  }

  private func refusal(_ path: String, _ name: String? = nil) -> String {
    do {
      return "loaded \(try images.load(path, name: try name.map { try ImageReference($0) }).count)"
    } catch {
      return "\(error)"
    }
  }

  @Test("an archive of docker save, with each of its names; once more changes nothing")
  func dockerArchive() throws {
    let archive = "\(scratch.path)/a:b.tar"
    let link = "\(scratch.path)/archive.tar"
    try skopeo(
      "oci:\(try layout()):tools:1", "docker-archive:\(link):tools:1", "--additional-tag", "example.org/tools:latest")
    #expect(rename(link, archive) == 0)
    let loaded = try images.load(archive, name: nil)
    #expect(loaded.map(\.tags) == [["docker.io/library/tools:1", "example.org/tools:latest"]])
    #expect(try images.list() == loaded)
    #expect(try images.load(archive, name: nil) == loaded)
    #expect(try images.remove("tools:1") == "untagged docker.io/library/tools:1")
    #expect(try images.remove("tools:1") == nil)
    #expect(try images.remove(String(loaded[0].id.dropFirst(7).prefix(12))) == "deleted example.org/tools:latest")
    #expect(try images.list() == [])
  }

  /// An archive of a layout's plain files, without the directories that they lie in.
  private func archive(_ layout: String, _ more: (inout TarBuilder) -> Void = { _ in }) throws -> String {
    let path = "\(scratch.path)/archive-\(Hexadecimal.text(try Crypto.randomBytes(4))).tar"
    let bytes = try TarBuilder.made { tar in
      more(&tar)
      for name in ["index.json", "oci-layout"] { tar.add(name, content: try Files.read("\(layout)/\(name)")) }
      for name in try Files.list("\(layout)/blobs/sha256") {
        tar.add("blobs/sha256/\(name)", content: try Files.read("\(layout)/blobs/sha256/\(name)"))
      }
    }
    try Files.writeAtomically(path, bytes)
    return path
  }

  @Test("an archive of an OCI layout writes nothing but the layout's own files, whatever else is in it")
  func hostileArchive() throws {
    let target = "\(scratch.path)/target"
    try Files.makeDirectory(target)
    try Files.writeAtomically("\(target)/secret", Array("kept".utf8))
    let path = try archive(try layout()) { tar in
      tar.symlink("zz", target)
      tar.file("zz/secret", "changed")
      tar.file("zz/new", "x", mode: 0o4755)
      tar.symlink("blobs", target)
      tar.file("../outside", "x")
      tar.file("blobs/sha256/../../../outside", "x")
    }
    #expect(try images.load(path, name: nil).map(\.tags) == [["docker.io/library/tools:1"]])
    #expect(try Files.list(target) == ["secret"] && Files.read("\(target)/secret") == Array("kept".utf8))
    #expect(!Files.exists("\(scratch.path)/outside"))
  }

  @Test("what an archive says of itself commands no terminal, and begins no line")
  func escapes() throws {
    let path = try layout("tools:1") { builder in
      builder.layers = [TarBuilder.made { $0.file("../\u{1b}[31m\nlevel=error", "x") }]
    }
    let message = refusal(path)
    #expect(message.contains("?[31m?level=error"), "\(message)")
  }

  @Test("an OCI layout, and an archive of one")
  func ociLayouts() throws {
    #expect(try images.load(try layout(), name: nil).map(\.tags) == [["docker.io/library/tools:1"]])
    let archive = "\(scratch.path)/oci.tar"
    try skopeo("oci:\(try layout { $0.configuration["User"] = "7" }):tools:1", "oci-archive:\(archive):other.io/t:2")
    #expect(try images.load(archive, name: nil).map(\.tags) == [["other.io/t:2"]])
    #expect(try images.list().count == 2)
  }

  @Test("one without a name gets the one that is given")
  func nameless() throws {
    for name in [nil, "latest"] {
      let path = try layout(name)
      #expect(refusal(path) == "\(path): its image has no name: give it one by --tag NAME:TAG")
      #expect(try images.load(path, name: try ImageReference("mine:3")).map(\.tags) == [["docker.io/library/mine:3"]])
    }
  }

  @Test("what is no image says so")
  func noImages() throws {
    let empty = "\(scratch.path)/empty"
    try Files.makeDirectory(empty)
    #expect(refusal(empty).contains("it is no OCI layout: it has no index.json"))
    let tar = "\(scratch.path)/some.tar"
    try Files.writeAtomically(tar, TarBuilder.made { $0.file("a") })
    #expect(refusal(tar).contains("neither manifest.json nor index.json is in it"))
    try Files.writeAtomically(tar, Array("no tar".utf8))
    #expect(refusal(tar).contains("some.tar"))
    #expect(refusal("\(scratch.path)/absent").contains("No such file"))
    try Files.writeAtomically(tar, TarBuilder.made { $0.file("manifest.json", "[") })
    #expect(refusal(tar).contains("its manifest.json lists no images"))
    #expect(refusal(try layout { $0.architecture = "s390x" }).hasPrefix("it is for linux/s390x"))
    #expect(refusal(try layout { $0.layers = [TarBuilder.made { $0.file("../a") }] }).contains("leads upwards"))
    #expect(try images.list() == [])
  }

  @Test("a running agent sees what a command has loaded")
  func besideAnAgent() throws {
    let host = try TestHost()
    let reference = try ImageReference("tools:1")
    #expect(host.host.lookUp(reference) == nil)
    var changes = 0
    host.host.changed = { changes += 1 }
    let loaded = try NodeImages(data: host.scratch.path).load(try layout(), name: nil)
    #expect(host.wait { host.host.lookUp(reference) == loaded[0] })
    #expect(changes > 0)
  }

  @Test("files of another user's agent are left alone", .enabled(if: isRoot))
  func foreign() throws {
    try Files.makeDirectory("\(scratch.path)/data")
    chown("\(scratch.path)/data", 65534, 65534)
    #expect(refusal(try layout()).contains("run this as that user"))
  }

  @Test("stacked by the kernel, its layers are what umoci unpacks", .enabled(if: isRoot))
  func oracle() throws {
    let path = try layout { builder in
      builder.layers = [
        TarBuilder.made { tar in
          tar.directory("./")
          tar.directory("etc/", mode: 0o750, user: 1, group: 2)
          tar.file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
          tar.file("etc/gone", "x")
          tar.directory("var/")
          tar.directory("var/cache/")
          tar.file("var/cache/old", "old")
          tar.directory("tmp/", mode: 0o1777)
          tar.file("swap", "file")
          tar.directory("turn/")
          tar.file("turn/a", "a")
        },
        TarBuilder.made { tar in
          tar.directory("./")
          tar.directory("etc/", mode: 0o755, user: 3, group: 4)
          tar.file("etc/.wh.gone")
          tar.directory("var/")
          tar.directory("var/cache/")
          tar.file("var/cache/.wh..wh..opq")
          tar.file("var/cache/new", "new")
          tar.directory("swap/", mode: 0o700)
          tar.file("swap/inside", "i")
          tar.file("turn", "now a file")
          tar.add("su", mode: 0o4711, user: 0, group: 9, content: [1, 2, 3])
          tar.hardLink("su2", "su")
          tar.symlink("lib", "usr/lib")
          tar.file(".wh.absent")
        },
      ]
    }
    let unpacked = try output(["/usr/bin/umoci", "unpack", "--image", "\(path):tools:1", "\(scratch.path)/bundle"])
    #expect(unpacked.isDone, "\(unpacked.text)")
    let host = try TestHost()
    let record = try NodeImages(data: host.scratch.path).load(path, name: nil)[0]
    #expect(host.wait { host.host.lookUp((try? ImageReference("tools:1"))!) == record })
    let lower = try #require(host.host.layerDirectories(of: record.id)).reversed().joined(separator: ":")
    let root = "\(scratch.path)/root"
    try Files.makeDirectory(root)
    #expect(try run("/bin/mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir=\(lower)", root))
    defer { _ = try? run("/bin/umount", root) }
    #expect(try tree(root) == tree("\(scratch.path)/bundle/rootfs"))
    #expect(text("\(root)/turn") == "now a file" && text("\(root)/swap/inside") == "i")
  }
}
