// What names an image and what does not, and how a name is completed: the cases of Docker's own reference parser.

import ClusterProto
import Testing

private let someHex = String(repeating: "0123456789abcdef", count: 4)
private let someDigest = "sha256:" + someHex

@Suite("Image references")
struct ImageReferenceTests {
  private func problem(_ image: String) -> String? {
    do throws(ImageReference.Invalid) {
      _ = try ImageReference(image)
      return nil
    } catch {
      return error.reason
    }
  }

  // MARK: What is none

  @Test(
    "a text that is no reference is refused with Docker's word for it",
    arguments: [
      "", " ", "a b", "busybox ", ":tag", "@sha256:1", "busybox:", "busybox@", "/busybox", "busybox/", "a//b", "-a",
      "a-", "a..b", "a___b", "a._b", "a.-b", ".a", "busybox:-1", "busybox:a/b", "http://busybox", "docker://busybox",
      "busybox:\(String(repeating: "a", count: 129))", "reg:port/a", "reg:5000:1/a", "reg-.io/a", "-reg.io/a",
      "reg..io/a", "[::1/a:1", "[]:5000/a", "[::g]:5000/a", "é", "busybox:é", "busybox:a:b", "a@b@c",
      "busybox@sha256:abc", "busybox@:\(String(repeating: "a", count: 64))", "a\u{0}b", "a\nb",
      "busybox@1x:\(String(repeating: "a", count: 64))",
    ])
  func invalid(image: String) {
    #expect(problem(image) == "invalid reference format", "\(image)")
  }

  @Test("upper case is refused in a repository, and named as Docker completes it")
  func upperCase() {
    #expect(problem("ACTOKEY") == "invalid reference format: repository name (library/ACTOKEY) must be lowercase")
    #expect(problem("quay.io/Team/app:1") == "invalid reference format: repository name (Team/app) must be lowercase")
    #expect(problem("busybox:LATEST") == nil)
    // An owner with an upper case letter passes for a registry.
    #expect((try? ImageReference("Team/app"))?.registry == "Team")
  }

  @Test("an id is not taken for a name, a digest must be one that somebody makes")
  func digests() {
    let hex = someHex
    #expect(problem(hex) == "invalid repository name (\(hex)), cannot specify 64-byte hexadecimal strings")
    #expect(problem("a@sha256:\(hex.dropLast())") == "invalid checksum digest length")
    #expect(problem("a@sha256:\(hex.uppercased())") == "invalid checksum digest format")
    #expect(problem("a@md5:\(hex)") == "unsupported digest algorithm")
    #expect(problem("a@sha512:\(hex)\(hex)") == nil)
  }

  @Test("a name has at most 255 characters, a tag 128")
  func lengths() {
    let rest = "docker.io/library/".utf8.count
    let long = String(repeating: "a", count: 255 - rest)
    #expect(problem(long) == nil)
    #expect(problem(long + "a") == "repository name must not be more than 255 characters")
    #expect(problem("a:\(String(repeating: "b", count: 128))") == nil)
  }

  @Test("the kubelet's message names the image twice, in Go's quotes")
  func message() throws {
    let problem = try #require(throws: ImageReference.Invalid.self) { try ImageReference("a b") }
    #expect(
      ImageReference.invalidMessage("a b", problem)
        == #"Failed to apply default image tag "a b": couldn't parse image name "a b": invalid reference format"#)
    #expect(ImageReference.invalidMessage(#"a"b"#, problem).contains(#"tag "a\"b": "#))
  }

  // MARK: What is one

  @Test(
    "a name is completed with Docker Hub, `library` and `latest`",
    arguments: [
      ("busybox", "docker.io/library/busybox:latest"),
      ("busybox:1.36", "docker.io/library/busybox:1.36"),
      ("mongo:5", "docker.io/library/mongo:5"),
      ("team/app", "docker.io/team/app:latest"),
      ("docker.io/busybox", "docker.io/library/busybox:latest"),
      ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
      ("docker.io/library/busybox:latest", "docker.io/library/busybox:latest"),
      ("quay.io/a/b/c:v1_2.3-x", "quay.io/a/b/c:v1_2.3-x"),
      ("localhost/app", "localhost/app:latest"),
      ("localhost:5000/app:1", "localhost:5000/app:1"),
      ("127.0.0.1:27555/bb", "127.0.0.1:27555/bb:latest"),
      ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest"),
      ("[2001:db8::1]/app", "[2001:db8::1]/app:latest"),
      ("Registry.io/app", "Registry.io/app:latest"),
      ("host/app", "docker.io/host/app:latest"),
      ("a__b/c-----d/e.f", "docker.io/a__b/c-----d/e.f:latest"),
    ])
  func completed(image: String, text: String) throws {
    #expect(try ImageReference(image).text == text)
    // What is complete stays as it is.
    #expect(try ImageReference(text).text == text)
  }

  @Test("a digest names the image, a tag beside it is only for people")
  func digest() throws {
    let plain = try ImageReference("busybox@\(someDigest)")
    #expect(plain.tag == nil)
    #expect(plain.text == "docker.io/library/busybox@\(someDigest)")
    let both = try ImageReference("localhost:5000/bb:1@\(someDigest)")
    #expect(both.tag == "1")
    #expect(both.digest == someDigest)
    #expect(both.text == "localhost:5000/bb@\(someDigest)")
  }

  @Test("only the word host asks for the host's programs")
  func host() throws {
    #expect(ImageReference.isHost("host"))
    for image in ["host:latest", "host:1", "docker.io/library/host", "localhost", "Host", "host ", ""] {
      #expect(!ImageReference.isHost(image), "\(image)")
    }
  }

  @Test(
    "Always is the default for the tag latest alone, written or not",
    arguments: [
      ("busybox", ImagePullPolicy.always), ("busybox:latest", .always), ("localhost:5000/app", .always),
      ("busybox:1", .ifNotPresent), ("busybox:latest@\(someDigest)", .always), ("busybox@\(someDigest)", .ifNotPresent),
      ("localhost:5000/app:1", .ifNotPresent), ("No:latest", .ifNotPresent), ("", .ifNotPresent),
    ])
  func policies(image: String, policy: ImagePullPolicy) {
    #expect(ImageReference.defaultPolicy(of: image) == policy)
  }

  @Test("no bytes make the reader trap, and what it takes it reads again the same")
  func anything() throws {
    var random = SplitMix64(seed: 7)
    let pieces = Array("ab1./:@-_AZ[] é").map(String.init) + [someDigest, "localhost", "docker.io", "library", "//"]
    var taken = 0
    for _ in 0..<20_000 {
      let text = (0..<random.below(9)).map { _ in pieces[Int(random.below(UInt64(pieces.count)))] }.joined()
      guard let reference = try? ImageReference(text) else { continue }
      taken += 1
      let again = try ImageReference(reference.text)
      #expect(again.text == reference.text && again.name == reference.name, "\(text)")
    }
    #expect(taken > 500)
  }
}
