// Images come from registries whole or not at all, once, and each failure has its words.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// Layers that do not compress: they are told from documents by their size.
private func layer(_ name: String, _ seed: UInt32 = 1) -> [UInt8] {
  return TarBuilder.made { tar in
    tar.add(name, content: noise(20_000, seed: seed))
    tar.file("etc/passwd", "app:x:1000:1000::/:/bin/sh\n")
  }
}

private func image(_ layers: [[UInt8]]) -> LayoutBuilder {
  var builder = LayoutBuilder()
  builder.layers = layers
  return builder
}

@Suite("Images are pulled", .serialized) struct ImagePullTests {
  /// Base64 of user and password.
  private static let tokens = ["secret": "dGVzdDpzZWNyZXQ=", "wrong": "dGVzdDp3cm9uZw=="]

  @Test("whole, with their names, users and layers; again costs no blob; a layer that is there is not fetched")
  func pull() throws {
    let registry = try TestRegistry()
    let host = try TestHost()
    let base = layer("base")
    try registry.push(image([base]), as: "base:1")
    try registry.push(image([base, layer("more", 2)]), as: "more:1")
    let name = "\(registry.address)/base:1"
    #expect(host.host.lookUp(try ImageReference(name)) == nil)
    let first = try host.pull(name)
    #expect(host.host.lookUp(try ImageReference(name)) == first)
    #expect(first.tags == [name] && first.digests.count == 1 && first.passwd.hasPrefix("app:x:1000"))
    #expect(first.configuration.command == ["/bin/sh"])
    #expect(host.host.lookUp(try ImageReference(first.digests[0])) == first)
    let directories = try #require(host.host.layerDirectories(of: first.id))
    #expect(directories == [host.store.path(ofLayer: SHA256.hex(of: base))] || directories.count == 1)
    #expect(Files.exists("\(directories[0])/base"))

    let inode = try Files.status(directories[0]).inode
    let second = try host.pull("\(registry.address)/more:1")
    #expect(second.layers.count == 2 && host.host.list().count == 2)
    #expect(try Files.status(#require(host.host.layerDirectories(of: second.id))[0]).inode == inode)
    #expect(try host.pull(name) == first)
    #expect(try Files.list(host.store.staging) == [])
  }

  @Test("by a digest, and of an image that is there under another name only the name is added")
  func digests() throws {
    let registry = try TestRegistry()
    let host = try TestHost()
    try registry.push(image([layer("a")]), as: "a:1")
    try registry.push(image([layer("a")]), as: "b:1")
    let first = try host.pull("\(registry.address)/a:1")
    let digest = first.digests[0].suffix(71)
    let second = try host.pull("\(registry.address)/b:1")
    #expect(second.id == first.id && second.tags.count == 2 && second.digests.count == 2)
    #expect(try host.pull("\(registry.address)/a@\(digest)").id == first.id)
    let other = try TestHost()
    let third = try other.pull("\(registry.address)/a@\(digest)")
    #expect(third.id == first.id && third.tags == [] && third.digests == first.digests)
  }

  @Test("compressed by zstd")
  func zstd() throws {
    let registry = try TestRegistry()
    let host = try TestHost()
    try registry.push(image([layer("a")]), as: "z:1", flags: ["--dest-compress-format", "zstd", "--format", "oci"])
    let record = try host.pull("\(registry.address)/z:1")
    #expect(Files.exists("\(try #require(host.host.layerDirectories(of: record.id))[0])/a"))
  }

  @Test("with a password where one is asked for, and with skopeo's words where it is missing or wrong")
  func credentials() throws {
    let registry = try TestRegistry(password: true)
    let host = try TestHost()
    try registry.push(image([layer("a")]), as: "a:1", flags: ["--dest-creds", "test:secret"])
    let name = "\(registry.address)/a:1"
    func json(_ password: String) -> String {
      let token = Self.tokens[password] ?? ""
      return "{\"auths\":{\"\(registry.address)\":{\"auth\":\"\(token)\"}}}"
    }
    #expect(try host.failure(name).hasSuffix("unauthorized: authentication required"))
    #expect(try host.failure(name, credentials: json("wrong")).contains("authentication required"))
    #expect(try host.pull(name, credentials: json("secret")).tags == [name])
  }

  @Test("by one of several who want the same at once, each layer unpacked once")
  func together() throws {
    let registry = try TestRegistry()
    let host = try TestHost()
    try registry.push(image([layer("a"), layer("b", 2)]), as: "a:1")
    for key in 1...4 { try host.begin(Int64(key), "\(registry.address)/a:1") }
    let ids = try (1...4).map { try #require(host.result(Int64($0))).get().id }
    #expect(Set(ids).count == 1 && host.host.list().count == 1)
    #expect(try Files.list(host.store.layers).filter(ImageStore.isName).count == 2)
  }

  @Test("and removed, also by a command beside the agent, which notices; then another pull fetches all again")
  func removal() throws {
    let registry = try TestRegistry()
    let host = try TestHost()
    try registry.push(image([layer("a")]), as: "a:1")
    let name = "\(registry.address)/a:1"
    let record = try host.pull(name)
    var failure: ImageError?? = .some(ImageError("not yet"))
    host.host.remove(record.id) { failure = $0 }
    #expect(host.wait { failure == .some(nil) })
    #expect(host.host.list() == [])
    #expect(host.host.lookUp(try ImageReference(name)) == nil)
    #expect(try Files.list(host.store.layers) == [])
    #expect(try Files.list("\(host.store.blobs)/sha256") == [])
    #expect(try host.pull(name) == record)
    #expect(try NodeImages(data: host.scratch.path).remove(name) == "deleted \(name)")
    #expect(host.wait { host.host.list().isEmpty })
    #expect(try host.pull(name) == record)
  }

  @Test("and are there after a restart; a blob that came before it is not fetched again, a damaged one is")
  func restart() throws {
    let registry = try TestRegistry(image([layer("a")]))
    let host = try TestHost()
    let blob = SHA256.hex(of: gzip(layer("a")))
    let name = "\(registry.address)/good/a:1"
    // As an interrupted pull leaves it.
    try Files.writeAtomically(host.store.path(ofBlob: blob), gzip(layer("a")))
    let record = try host.pull(name)
    #expect(!registry.requests.contains { $0.hasSuffix(blob) })
    try host.restart()
    #expect(host.host.lookUp(try ImageReference(name)) == record)
    let other = try TestHost()
    try Files.writeAtomically(other.store.path(ofBlob: blob), [UInt8](repeating: 0, count: gzip(layer("a")).count))
    #expect(try other.pull(name) == record)
    #expect(registry.requests.contains { $0.hasSuffix(blob) })
  }

  @Test("not from a registry that misbehaves: each way has its words, and nothing is left")
  func misbehaving() throws {
    let registry = try TestRegistry(image([layer("a")]))
    let host = try TestHost(patience: 3_000)
    let address = registry.address
    #expect(try host.pull("\(address)/redirects/a:1").tags.count == 1)
    let cases = [
      ("circles", "stopped after 10 redirects"), ("html", "html"), ("denied", "unauthorized"),
      ("busy", "toomanyrequests: slow down"), ("cuts", "unexpected EOF"), ("forges", "Digest did not match"),
      ("foreign", "no image found in image index for architecture"), ("hangs", "no byte came for 3 s"),
      ("stalls", "no byte came for 3 s"), ("drips", "hardly a byte came for 3 s"),
      ("endless", "the registry sends more than the"),
    ]
    for (manner, words) in cases {
      let fresh = try TestHost(patience: 3_000)
      let message = try fresh.failure("\(address)/\(manner)/a:1")
      #expect(message.contains(words), "\(manner): \(message)")
      #expect(!message.contains("level=") && message.utf8.count <= 1024)
      #expect(try Files.list(fresh.store.staging) == [])
      #expect(try Files.list(fresh.store.layers) == [])
      #expect(fresh.host.list() == [])
    }
    #expect(try host.failure("\(address)/good/absent/x:1").contains("manifest"))
    #expect(try host.failure("127.0.0.1:1/a:1").contains("connection refused"))
  }

  @Test("no more once nobody waits: the process and what it wrote are gone")
  func cancellation() throws {
    let registry = try TestRegistry(image([layer("a")]))
    let host = try TestHost()
    try host.begin(1, "\(registry.address)/stalls/a:1")
    let blob = SHA256.hex(of: gzip(layer("a")))
    #expect(host.wait { registry.requests.contains { $0.hasSuffix(blob) } })
    #expect(!processes(with: "docker://\(registry.address)/stalls").isEmpty)
    host.host.cancel(key: 1)
    guard case .failure(let error) = try #require(host.result(1)) else {
      Issue.record("it was pulled")
      return
    }
    #expect(error.isCancelled)
    #expect(processes(with: "docker://\(registry.address)/stalls").isEmpty)
    #expect(try Files.list(host.store.staging) == [])
  }

  @Test("not without skopeo: the node says what to install")
  func withoutSkopeo() throws {
    let scratch = try Scratch()
    let store = ImageStore(directory: scratch.path)
    try store.make()
    let fetcher = ImageFetcher(store: store, skopeo: Skopeo(program: "\(scratch.path)/skopeo"))
    let error = #expect(throws: ImageError.self) {
      try fetcher.pull(try ImageReference("busybox"), credentials: nil, ImageCancellation())
    }
    #expect(error?.message == "there is no skopeo on this node, which fetches images: apt-get install skopeo")
  }
}

@Suite("What skopeo says") struct SkopeoMessageTests {
  @Test(
    "is told without time and level",
    arguments: [
      ("time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"reading \\\"a\\\": unknown\"\n", "reading \"a\": unknown"),
      ("time=\"x\" level=warning msg=\"retry\"\ntime=\"x\" level=fatal msg=\"end\"\nusage\n", "end"),
      ("FATA[0000] plain\n", "FATA[0000] plain"), ("", "skopeo ended with exit code 1"),
    ])
  func words(output: String, message: String) {
    #expect(Skopeo.message(Array(output.utf8), .exited(code: 1)) == message)
  }

  @Test("is cut at 1 KiB")
  func length() { #expect(ImageError(String(repeating: "é", count: 1_000)).message.utf8.count <= 1_024) }
}
