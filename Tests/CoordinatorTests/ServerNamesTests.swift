// By what names a coordinator is reached: what its certificate names, what a Host may be and what clients are told.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Names of the server")
struct ServerNamesTests {
  private static func names(
    _ listen: [String], advertise: [String] = [], hostname: String = "Machine-A",
    machine: [String] = ["10.0.0.5", "fd00::5"]
  ) throws -> ServerNames {
    try ServerNames(
      listen: listen.map { .tcp(host: $0, port: 7480) }, advertise: advertise, hostname: hostname, machine: machine)
  }

  @Test("what is listened on, the host name and what is advertised, each once; every address where it listens on all")
  func all() throws {
    let own = ["localhost", "127.0.0.1", "::1"]
    #expect(try Self.names(["127.0.0.1"]).all == own)
    #expect(try Self.names(["127.0.0.2", "::1"]).all == own + ["127.0.0.2"])
    #expect(try Self.names(["10.0.0.5", "127.0.0.1"]).all == own + ["10.0.0.5", "machine-a"])
    #expect(try Self.names(["0.0.0.0"]).all == own + ["10.0.0.5", "machine-a"])
    #expect(try Self.names(["::"]).all == own + ["10.0.0.5", "fd00::5", "machine-a"])
    #expect(
      try Self.names(["::"], advertise: ["Stint.Example", "FD00:0::5", "::ffff:10.0.0.5", "198.51.100.7"]).all
        == own + ["10.0.0.5", "fd00::5", "stint.example", "198.51.100.7", "machine-a"])
    // A name that is none would break the certificate's making.
    #expect(try Self.names(["10.0.0.5"], hostname: "my_machine,IP:0").all == own + ["10.0.0.5"])
  }

  @Test("a coordinator that came back on loopback alone says which nodes of other machines it has lost")
  func unreached() {
    let nodes = [("a", "127.0.0.1"), ("b", "10.0.0.6"), ("c", ""), ("d", "fd00::7"), ("e", "::1")]
    #expect(CoordinatorServer.unreached(nodes, by: .tcp(host: "127.0.0.1", port: 7420)) == ["b", "d"])
    #expect(CoordinatorServer.unreached(nodes, by: .tcp(host: "0.0.0.0", port: 7420)) == [])
  }

  @Test("clients are told what is advertised, or an address of the machine, never 0.0.0.0")
  func reached() throws {
    func told(_ listen: String, _ advertise: [String], machine: [String] = ["10.0.0.5"]) throws -> [String] {
      let names = try Self.names([listen], advertise: advertise, machine: machine)
      let address = SocketAddress.tcp(host: listen, port: 7480)
      return [names.reached(at: address).description, names.address(of: address).description]
    }
    #expect(try told("127.0.0.1", ["a.example"]) == ["127.0.0.1:7480", "127.0.0.1:7480"])
    #expect(try told("10.0.0.5", []) == ["10.0.0.5:7480", "10.0.0.5:7480"])
    #expect(try told("0.0.0.0", []) == ["10.0.0.5:7480", "10.0.0.5:7480"])
    #expect(try told("::", [], machine: []) == ["127.0.0.1:7480", "127.0.0.1:7480"])
    #expect(try told("0.0.0.0", ["a.example", "fd00::7"]) == ["a.example:7480", "[fd00::7]:7480"])
    #expect(try told("0.0.0.0", ["a.example"]) == ["a.example:7480", "10.0.0.5:7480"])
  }

  @Test("joiners are told the names and addresses that are advertised first, then the machine's own")
  func joinable() throws {
    func told(_ listen: String, _ advertise: [String]) throws -> [String] {
      try Self.names([listen], advertise: advertise).joinable(at: .tcp(host: listen, port: 7420)).map(\.description)
    }
    #expect(try told("127.0.0.1", ["a.example"]) == ["127.0.0.1:7420"])
    #expect(try told("10.0.0.5", ["A.example"]) == ["a.example:7420", "10.0.0.5:7420"])
    // Nobody listens on the IPv6 address.
    #expect(try told("0.0.0.0", []) == ["10.0.0.5:7420"])
    #expect(
      try told("::", ["stint.example", "fd00::7"])
        == ["stint.example:7420", "[fd00::7]:7420", "10.0.0.5:7420", "[fd00::5]:7420"])
  }

  @Test(
    "what cannot be advertised is refused before anything starts",
    arguments: ["", "a b", "a,IP:1.2.3.4", "a/b", "10.0.0.5:7480", "[fd00::5]", "10.0.1", "0.0.0.0", "::", "*.example"])
  func refused(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let error = try #require(throws: ServerError.self) {
      try LiveServer(directory) { $0.advertise = [name] }
    }
    #expect(error.description.hasPrefix("--advertise \(name): "), "\(error)")
    #expect(try Files.list(directory.path) == [])
  }

  @Test("on all addresses: answers to the certificate's names and to no other, and tells clients where it is")
  func onAllAddresses() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory) {
      $0.api = .tcp(host: "::", port: 0)
      $0.advertise = ["stint.example", "fd00:0:0::7"]
    }
    guard case .tcp(_, let port)? = api.live.server.apiAddress else { return #expect(Bool(false)) }
    // IPv4 reaches the same socket.
    let client = try HTTPTestClient(api.live.loop, .tcp(host: "127.0.0.1", port: port), api.admin)
    func code(_ host: String) throws -> Int? {
      client.connection.send(HTTPTestClient.request("GET", "/version", host: host))
      var answer: HTTPTestAnswer?
      try api.live.wait("an answer comes") {
        answer = client.takeAnswer()
        return answer != nil || client.isClosed
      }
      return answer?.code
    }
    for host in ["stint.example:\(port)", "STINT.example", "[FD00::0:7]:\(port)", "127.0.0.1:\(port)", "localhost"] {
      #expect(try code(host) == 200, "\(host)")
    }
    // A page that has its own name resolve to this machine sends that name.
    for host in ["evil.example:\(port)", "192.0.2.99", "[fd00::8]", "0.0.0.0:\(port)", "[::]"] {
      #expect(try code(host) == 403, "\(host)")
    }
    let facts = try JSON(parsing: try Files.read("\(directory.path)/coordinator.json"))
    #expect(facts["api"]?.stringValue == "https://stint.example:\(port)")
    // Others' way to it may be none of this machine's.
    let kubeconfig = String(decoding: try Files.read("\(directory.path)/admin.kubeconfig"), as: UTF8.self)
    #expect(kubeconfig.contains("server: https://127.0.0.1:\(port)\n") && !kubeconfig.contains("stint.example"))
    #expect(kubeconfig.contains("native: \"127.0.0.1:"))
    let carried = try DataDirectory(path: directory.path).kubeconfig()
    #expect(carried.contains("server: https://stint.example:\(port)\n"))
    let service = try api.ask("GET", "/api/v1/namespaces/default/services/kubernetes").json
    #expect(service[path: ["spec", "clusterIP"]]?.stringValue == "fd00::7")
    try api.live.stop()
  }
}
