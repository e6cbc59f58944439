// What `stint ui` makes of a kubeconfig's server, and the page's files on a disk.

import ClusterIO
import ClusterProto
import Coordinator
import Testing

@testable import stint

@Suite("stint ui")
struct UICommandTests {
  @Test("a server's URL comes to a name, a port, a Host and a path before all paths; anything but https to nothing")
  func places() {
    let plain = UICommand.Place(url: "https://10.1.2.3:6443")
    #expect(plain?.name == "10.1.2.3" && plain?.port == 6443 && plain?.host == "10.1.2.3:6443" && plain?.path == "")
    let named = UICommand.Place(url: "HTTPS://api.example.org/k8s/clusters/c-1/")
    #expect(named?.name == "api.example.org" && named?.port == 443 && named?.host == "api.example.org")
    #expect(named?.path == "/k8s/clusters/c-1")
    let six = UICommand.Place(url: "https://[::1]:7480")
    #expect(six?.name == "::1" && six?.port == 7480 && six?.host == "[::1]:7480")
    for url in [
      "http://127.0.0.1:8001", "https://", "https://a:b@host", "https://host:99999", "https://host/a b",
      "https://host/?q", "host:6443", "https://host/\r\nX: y",
    ] { #expect(UICommand.Place(url: url) == nil, "\(url)") }
  }

  @Test("--to writes the page's files where kubectl proxy can serve them, and asks no cluster")
  func written() throws {
    let folder = "/tmp/stint-ui-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    defer { try? Files.removeTree(folder) }
    var out = ""
    let arguments = try Arguments.parse(["ui", "--to", "\(folder)/page"], commands: CommandTable.all)
    let context = Context(
      arguments: arguments, environment: [:], console: Console(out: { out += $0 }, err: { out += $0 }),
      makeCluster: { _ in throw CommandError("it asks a coordinator") })
    #expect(try UICommand.run(context) == 0)
    #expect(out.contains("kubectl proxy --www"))
    for file in PageFiles.all {
      #expect(try Files.read("\(folder)/page/\(file.name)", limit: 1 << 20) == file.bytes)
    }
  }
}
