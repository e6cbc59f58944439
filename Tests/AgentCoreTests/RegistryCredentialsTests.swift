// Which credentials are tried for an image: the kubelet's rules, with Secrets of every kind of disorder first.

import AgentCore
import ClusterProto
import Testing

@Suite("Credentials for registries")
struct RegistryCredentialsTests {
  private func secret(_ json: String, key: String = ".dockerconfigjson") -> StringMap {
    [key: Base64.encode(Array(json.utf8))]
  }

  private func auth(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

  private func users(_ secrets: [StringMap], _ image: String) throws -> [String] {
    RegistryKeyring(secrets: secrets).credentials(for: try ImageReference(image)).map { "\($0.user):\($0.password)" }
  }

  @Test(
    "what cannot be read gives no credentials",
    arguments: [
      "", "{", "[]", "null", #"{"auths":[]}"#, #"{"auths":{"a.io":null}}"#, #"{"auths":{"a.io":{}}}"#,
      #"{"auths":{"a.io":{"auth":"%%%"}}}"#, #"{"auths":{"a.io":{"auth":"bm9jb2xvbg=="}}}"#,
      #"{"auths":{"a.io":{"username":1}}}"#, #"{"a.io":{"username":"u","password":"p"}}"#,
    ])
  func unreadable(json: String) throws {
    #expect(try users([secret(json)], "a.io/x").isEmpty)
    #expect(try users([[".dockerconfigjson": "not base64!"], ["other": "eA=="]], "a.io/x").isEmpty)
  }

  @Test("user and password, or both in base64 with or without its padding; a password may hold colons")
  func forms() throws {
    let plain = secret(#"{"auths":{"a.io":{"username":"u","password":"p"}}}"#)
    #expect(try users([plain], "a.io/x") == ["u:p"])
    let coded = secret(#"{"auths":{"a.io":{"auth":"\#(auth("u:p:q"))","username":"other"}}}"#)
    #expect(try users([coded], "a.io/x") == ["u:p:q"])
    let bare = String(auth("us:p").prefix { $0 != "=" })
    #expect(try users([secret(#"{"auths":{"a.io":{"auth":"\#(bare)"}}}"#)], "a.io/x") == ["us:p"])
    let old = secret(#"{"a.io":{"username":"u","password":"p","email":"e"}}"#, key: ".dockercfg")
    #expect(try users([old], "a.io/x") == ["u:p"])
  }

  @Test(
    "a registry is matched by host, port and the beginning of the path, its labels with stars",
    arguments: [
      ("a.io", "a.io/x", true), ("https://a.io", "a.io/x", true), ("http://a.io/v1/", "a.io/x", true),
      ("https://a.io/v2/", "a.io/x", true), ("a.io:5000", "a.io/x", false), ("a.io:5000", "a.io:5000/x", true),
      ("a.io", "a.io:5000/x", false), ("*.io", "a.io/x", true), ("*.io", "b.a.io/x", false),
      ("*.a.io", "b.a.io/x", true), ("r*y.a.?o", "registry.a.io/x", true), ("a.io/team", "a.io/team/x", true),
      ("a.io/team", "a.io/other/x", false), ("a.io/team", "a.io/teams/x", true), ("b.io", "a.io/x", false),
      ("", "a.io/x", false), ("docker.io", "busybox", true), ("https://index.docker.io/v1/", "busybox", true),
      ("index.docker.io", "team/app", true), ("index.docker.io", "a.io/x", false),
      ("127.0.0.1:27555", "127.0.0.1:27555/bb", true), ("***************b", "aaaaaaaaaaaaaaaaaaaaaaaaaa/x", false),
    ])
  func places(place: String, image: String, matches: Bool) throws {
    let secret = secret(#"{"auths":{"\#(place)":{"username":"u","password":"p"}}}"#)
    #expect(try users([secret], image).isEmpty != matches, "\(place) \(image)")
  }

  @Test("the most special place is tried first, then the Secrets in their order; none twice")
  func order() throws {
    let first = secret(
      #"{"auths":{"a.io":{"username":"1","password":""},"a.io/team":{"username":"2","password":""}}}"#)
    let second = secret(
      #"{"auths":{"a.io":{"username":"3","password":""},"https://a.io":{"username":"1","password":""}}}"#)
    #expect(try users([first, second], "a.io/team/x") == ["2:", "1:", "3:"])
    #expect(try users([second, first], "a.io/x") == ["3:", "1:"])
  }

  @Test("the file for the fetcher has one credential, for exactly the registry")
  func file() throws {
    let text = RegistryCredential(user: "u", password: "p\"\\:").authFile(registry: "a.io:5000")
    let json = try JSON(parsing: text)
    #expect(json == ["auths": ["a.io:5000": ["auth": .string(auth("u:p\"\\:"))]]])
  }

  @Test("pods with other credentials have fetches of their own, with the same ones they share")
  func shared() {
    var bench = ImageBench()
    let container = imageContainer("main", "a.io/x:1")
    func references(_ user: String) -> JSONObject {
      let data = secret(#"{"auths":{"a.io":{"username":"\#(user)","password":"p"}}}"#)
      return ["secrets/pull": ["data": data.json]]
    }
    bench.assign(1, [container], secrets: ["pull"], references: references("u"))
    bench.assign(2, [container], secrets: ["pull"], references: references("v"))
    bench.assign(3, [container], secrets: ["missing"])
    bench.assign(4, [container], secrets: ["missing", "pull"], references: references("u"))
    let asked = bench.agent.all.compactMap { effect in
      if case .pullImage(_, _, let credentials) = effect { credentials.map(\.user) } else { nil }
    }
    #expect(asked == [["u"], ["v"], []])
    // Other images of the pod's registries are asked for without.
    let other = bench.assign(
      5, [imageContainer("main", "b.io/x:1")], secrets: ["pull"], references: references("u"))
    #expect(other.pulls.isEmpty)
    bench.failed(1)
    guard
      case .pullImage(_, let reference, let credentials)? = bench.agent.all.last(where: { effect in
        if case .pullImage = effect { true } else { false }
      })
    else {
      Issue.record("no fetch")
      return
    }
    #expect(reference.registry == "b.io" && credentials.isEmpty)
  }
}
