// What a node holds of images: whole ones alone, layers shared, nothing that is used taken away.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// A store with layers and images made by hand.
struct TestStore {
  let scratch: Scratch
  let store: ImageStore

  init() throws {
    scratch = try Scratch()
    store = ImageStore(directory: "\(scratch.path)/images")
    try store.make()
  }

  static func hex(_ digit: Character) -> String { String(repeating: digit, count: 64) }

  func addLayer(_ digit: Character, blobs: [String] = []) throws {
    let path = "\(store.staging)/unpacked"
    try Files.makeDirectory(path)
    try store.addLayer(path, name: Self.hex(digit), LayerFacts(bytes: 1, isOpaque: false, blobs: blobs))
  }

  @discardableResult
  func addImage(_ digit: Character, layers: String, tags: [String] = []) throws -> StoredImage {
    let names = layers.map(Self.hex)
    return try store.add(
      StoredImage(
        record: ImageRecord(
          id: "sha256:\(Self.hex(digit))", tags: tags, layers: names.map { "sha256:\($0)" },
          configuration: ImageConfiguration()),
        layers: names))
  }

  var layers: [String] {
    ((try? Files.list(store.layers)) ?? []).filter(ImageStore.isName).map { String($0.prefix(1)) }
  }
  var images: [String] { ((try? store.list()) ?? []).map { String($0.record.id.dropFirst(7).prefix(1)) } }
}

@Suite("The store of images") struct ImageStoreTests {
  @Test("nobody but its owner looks into it")
  func mode() throws {
    let test = try TestStore()
    #expect(try Files.status(test.store.directory).mode & 0o777 == 0o700)
  }

  @Test("removing an image takes its own layers with it, and none that another image has")
  func sharing() throws {
    let test = try TestStore()
    for digit in "123" { try test.addLayer(digit) }
    try test.addImage("a", layers: "12")
    try test.addImage("b", layers: "13")
    try test.store.remove(id: "sha256:\(TestStore.hex("a"))")
    #expect(test.layers == ["1", "3"] && test.images == ["b"])
    try test.store.remove(id: "sha256:\(TestStore.hex("b"))")
    #expect(test.layers == [] && test.images == [])
    #expect(try Files.list(test.store.staging) == [])
  }

  @Test("a layer that somebody at work relies on stays, until he is done")
  func pinned() throws {
    let test = try TestStore()
    try test.addLayer("1")
    try test.addImage("a", layers: "1")
    var staging: ImageStaging? = try ImageStaging(test.store)
    try staging?.pin([TestStore.hex("1")], in: test.store)
    try test.store.remove(id: "sha256:\(TestStore.hex("a"))")
    try test.store.sweep()
    #expect(test.layers == ["1"])
    staging = nil
    try test.store.sweep()
    #expect(test.layers == [])
  }

  @Test("a name is one image's: the newer has it, the older keeps its others")
  func names() throws {
    let test = try TestStore()
    try test.addLayer("1")
    try test.addImage("a", layers: "1", tags: ["x:1", "x:2"])
    try test.addImage("b", layers: "1", tags: ["x:2", "x:3"])
    try test.addImage("b", layers: "1", tags: ["x:4"])
    #expect(try test.store.list().map(\.record.tags) == [["x:1"], ["x:2", "x:3", "x:4"]])
    try test.store.removeTag("x:2")
    try test.store.removeTag("x:1")
    #expect(try test.store.list().map(\.record.tags) == [["x:3", "x:4"]])
  }

  @Test("what a crash left half done is never used, and gone after the next start")
  func crash() throws {
    let test = try TestStore()
    for digit in "12" { try test.addLayer(digit) }
    try test.addImage("a", layers: "1")
    try test.addImage("b", layers: "2")
    let store = test.store
    // A pull in the middle, a record half written, a layer without its image, facts without their layer, a record whose
    // layer is gone, blobs old and new.
    try Files.makeDirectory("\(store.staging)/dead/layer/etc")
    try Files.writeAtomically("\(store.staging)/dead/lock", [])
    try Files.writeAtomically("\(store.staging)/dead/pins", Array(TestStore.hex("3").utf8))
    // A removal in the middle, of an image whose own files are called as ours.
    try Files.makeDirectory("\(store.staging)/gone-1")
    for name in ["lock", "pins"] { #expect(mkfifo("\(store.staging)/gone-1/\(name)", 0o600) == 0) }
    try Files.writeAtomically("\(store.records)/\(TestStore.hex("c")).json.new", Array("{".utf8))
    try Files.writeAtomically("\(store.records)/\(TestStore.hex("d")).json", Array("{\"id\":".utf8))
    try test.addLayer("3")
    try Files.writeAtomically("\(store.layers)/\(TestStore.hex("4")).json", Array("{}".utf8))
    try Files.removeTree(store.path(ofLayer: TestStore.hex("2")))
    try Files.writeAtomically(store.path(ofBlob: TestStore.hex("5")), [1])
    try Files.writeAtomically(store.path(ofBlob: TestStore.hex("6")), [1])
    let old = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
    utimensat(AT_FDCWD, store.path(ofBlob: TestStore.hex("5")), old, 0)
    let living = try ImageStaging(store)

    #expect(test.images == ["a"])
    try store.sweep()
    #expect(test.images == ["a"] && test.layers == ["1"])
    #expect(try Files.list(store.records) == ["\(TestStore.hex("a")).json"])
    #expect(try Files.list(store.layers) == [TestStore.hex("1"), "\(TestStore.hex("1")).json"])
    #expect(try Files.list(store.staging) == [Files.split(living.path).name])
    #expect(try Files.list("\(store.blobs)/sha256") == [TestStore.hex("6")])
  }

  @Test("a record that cannot be read now keeps every layer, and itself")
  func unreadable() throws {
    let test = try TestStore()
    for digit in "12" { try test.addLayer(digit) }
    try test.addImage("a", layers: "1")
    let record = "\(test.store.records)/\(TestStore.hex("b")).json"
    try Files.makeDirectory(record)
    #expect(throws: IOError.self) { try test.store.sweep() }
    #expect(throws: IOError.self) { try test.store.remove(id: "sha256:\(TestStore.hex("a"))") }
    #expect(test.layers == ["1", "2"] && Files.exists(record))
    #expect(rmdir(record) == 0)
    try test.store.sweep()
    #expect(test.layers == ["1"] && test.images == ["a"])
  }

  @Test("a layer's blob keeps its size and no content, and goes with the layer")
  func emptyBlobs() throws {
    let test = try TestStore()
    let blob = test.store.path(ofBlob: TestStore.hex("9"))
    try Files.writeAtomically(blob, [UInt8](repeating: 1, count: 1 << 20))
    try test.addLayer("1", blobs: [TestStore.hex("9")])
    test.store.emptyBlob(TestStore.hex("9"))
    var facts = stat()
    #expect(stat(blob, &facts) == 0 && facts.st_size == 1 << 20 && facts.st_blocks == 0)
    try test.addImage("a", layers: "1")
    try test.store.sweep(blobSeconds: 0)
    #expect(Files.exists(blob))
    try test.store.remove(id: "sha256:\(TestStore.hex("a"))")
    #expect(!Files.exists(blob))
  }

  @Test("an image that a container's root is made of is not removed")
  func mounted() throws {
    let test = try TestStore()
    for digit in "12" { try test.addLayer(digit) }
    try test.addImage("a", layers: "12")
    let place = "\(Files.split(test.store.directory).parent)/roots/7-0-0"
    try Files.makeDirectory(place)
    try RootLayers.claim("12".map { TestStore.hex($0) }, for: place, in: test.store)
    let id = "sha256:\(TestStore.hex("a"))"
    let error = #expect(throws: IOError.self) { try test.store.remove(id: id) }
    #expect(error?.code == EBUSY && error?.message == "a container runs on it")
    #expect(test.layers == ["1", "2"] && test.images == ["a"])
    // Nor what is left of it by a sweep, and no container begins on what has gone.
    unlink("\(test.store.records)/\(TestStore.hex("a")).json")
    try test.store.sweep()
    #expect(test.layers == ["1", "2"])
    try Files.removeTree(place)
    try test.store.sweep()
    #expect(test.layers == [])
    try Files.makeDirectory(place)
    #expect(throws: IOError.self) { try RootLayers.claim([TestStore.hex("1")], for: place, in: test.store) }
  }

  @Test("the layers of a root that rests may go, and it is used again only where they are the same directories")
  func resting() throws {
    let test = try TestStore()
    let names = "12".map { TestStore.hex($0) }
    for digit in "12" { try test.addLayer(digit) }
    let place = "\(Files.split(test.store.directory).parent)/roots/7"
    try Files.makeDirectory(place)
    try RootLayers.claim(names, for: place, in: test.store)
    let known = try RootLayers.identities(names, in: test.store)
    #expect(RootLayers.rest(place))
    #expect(try RootLayers.resume(names, known, for: place, in: test.store))
    try test.store.sweep()
    #expect(test.layers == ["1", "2"])
    #expect(RootLayers.rest(place))
    // As a mount does, it keeps the number from another.
    let held = open(test.store.path(ofLayer: names[0]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(held) }
    try test.store.sweep()
    #expect(test.layers == [])
    #expect(try !RootLayers.resume(names, known, for: place, in: test.store))
    for digit in "12" { try test.addLayer(digit) }
    #expect(try !RootLayers.resume(names, known, for: place, in: test.store))
    #expect(!RootLayers.rest(place), "one that rests cannot rest")
  }

  @Test("users and groups are those of the topmost layer that has them, links and what is hidden none")
  func users() throws {
    let scratch = try Scratch()
    func layer(_ name: String, _ body: (inout TarBuilder) -> Void) throws -> String {
      let path = "\(scratch.path)/\(name)"
      try Files.makeDirectory(path)
      let tar = TarBuilder.made(body)
      try Files.writeAtomically("\(scratch.path)/blob", tar)
      _ = try LayerUnpacker.run(
        blob: "\(scratch.path)/blob", blobDigest: nil, diffID: SHA256.hex(of: tar), into: path)
      return path
    }
    let base = try layer("base") { $0.file("etc/passwd", "base") }
    let other = try layer("other") { $0.file("etc/hosts", "x") }
    let newer = try layer("newer") { $0.file("etc/passwd", "newer") }
    let gone = try layer("gone") { $0.file("etc/.wh.passwd") }
    let hidden = try layer("hidden") { $0.file("etc/.wh..wh..opq") }
    let noEtc = try layer("noEtc") { $0.file(".wh.etc") }
    let link = try layer("link") { $0.symlink("etc/passwd", "/etc/passwd") }
    let linked = try layer("linked") { $0.symlink("etc", "/etc") }
    func read(_ layers: [String]) throws -> String { try ImageUsers.read("passwd", layers: layers) }
    #expect(try read([base]) == "base")
    #expect(try read([other, base]) == "base")
    #expect(try read([newer, other, base]) == "newer")
    for top in [gone, hidden, noEtc, link, linked] { #expect(try read([top, base]) == "") }
    #expect(try read([other]) == "")
    #expect(try read([newer, gone, base]) == "newer")
    let large = try layer("large") { $0.add("etc/passwd", content: [UInt8](repeating: 65, count: 1 << 20 + 1)) }
    #expect(throws: IOError.self) { try read([large]) }
  }
}

@Suite("An OCI layout") struct OCILayoutTests {
  private func read(_ change: (inout LayoutBuilder) -> Void) throws -> OCIImage {
    let scratch = try Scratch()
    var builder = LayoutBuilder()
    builder.layers = [TarBuilder.made { $0.file("a") }, TarBuilder.made { $0.file("b") }]
    change(&builder)
    let path = "\(scratch.path)/layout"
    try builder.write(path)
    return try OCILayout.read(path, blob: { "\(path)/blobs/sha256/\($0)" })
  }

  @Test("is an image with its layers and what it says of its containers")
  func good() throws {
    let first = TarBuilder.made { $0.file("a") }
    let image = try read { $0.configuration["StopSignal"] = "SIGINT" }
    #expect(image.configuration.command == ["/bin/sh"] && image.configuration.stopSignal == "SIGINT")
    let (a, b) = (image.layers[0], image.layers[1])
    #expect(a.diffID == SHA256.hex(of: first) && a.chainID == a.diffID && a.blob == SHA256.hex(of: gzip(first)))
    #expect(b.chainID == SHA256.hex(of: Array("sha256:\(a.diffID) sha256:\(b.diffID)".utf8)))
  }

  @Test("that is none this node could run says why")
  func bad() throws {
    func refusal(_ change: (inout LayoutBuilder) -> Void) -> String {
      do {
        _ = try read(change)
        return "taken"
      } catch {
        return (error as? IOError)?.message ?? "\(error)"
      }
    }
    #expect(refusal { _ in } == "taken")
    #expect(
      refusal { $0.architecture = "s390x" } == "it is for linux/s390x, this machine is linux/\(OCILayout.architecture)")
    #expect(refusal { $0.spoilConfig = { $0["os"] = "windows" } }.hasPrefix("it is for windows/"))
    #expect(refusal { $0.layers = [] } == "it has no layers: there is nothing to run in it")
    #expect(
      refusal { $0.layers = (0..<128).map { n in TarBuilder.made { $0.file("\(n)") } } }
        == "it has 128 layers, at most 127 are taken")
    #expect(
      refusal { $0.spoilConfig = { $0["rootfs"] = ["diff_ids": []] } }
        == "its manifest has 2 layers, its configuration 0")
    #expect(
      refusal { $0.mediaType = "application/vnd.oci.image.layer.v1.tar+encrypted" }.hasSuffix("no file system"))
    #expect(refusal { $0.mediaType = "application/wasm" }.hasSuffix("which is no file system"))
    #expect(
      refusal { $0.spoilManifest = { $0["config"] = ["digest": "md5:abc"] } }
        == "its manifest has a digest that is no SHA-256")
    #expect(
      refusal { $0.spoilManifest = { $0["config"] = ["digest": "sha256:../../../../etc/passwd"] } }
        == "its manifest has a digest that is no SHA-256")
    let environment = JSON.strings((0..<16).map { "V\($0)=" + String(repeating: "x", count: 1 << 16) })
    #expect(refusal { $0.configuration["Env"] = environment }.hasPrefix("its environment has 10"))
    #expect(
      refusal { $0.configuration["Cmd"] = JSON.strings([String(repeating: "x", count: 5 << 20)]) }
        == IOError.text(EFBIG))
  }

  @Test("whose documents are not what their digests say is refused")
  func digests() throws {
    let scratch = try Scratch()
    var builder = LayoutBuilder()
    builder.layers = [TarBuilder.made { $0.file("a") }]
    let path = "\(scratch.path)/layout"
    try builder.write(path)
    let manifest = ImageStore.hex(builder.blobs().manifest["digest"]?.stringValue ?? "")
    try Files.writeAtomically("\(path)/blobs/sha256/\(manifest)", Array("{}".utf8))
    let error = #expect(throws: IOError.self) {
      try OCILayout.read(path, blob: { "\(path)/blobs/sha256/\($0)" })
    }
    #expect(error?.code == EBADMSG)
    try Files.writeAtomically("\(path)/index.json", Array("<html>".utf8))
    #expect(throws: IOError.self) { try OCILayout.read(path, blob: { "\(path)/blobs/sha256/\($0)" }) }
  }
}
