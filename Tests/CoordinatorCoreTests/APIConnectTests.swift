// connect: which attempt and container a client is led to, what is asked wrongly, and who may.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Streams into pods: what the core says")
struct APIConnectTests {
  private static func request(
    _ purpose: String, _ body: JSON, pod: String = "p", by subject: Subject = .administrator
  ) -> APIRequest {
    var request = APIRequest(
      verb: .connect, kind: .pods, namespace: "default", name: pod, subresource: purpose, body: body)
    request.subject = subject
    return request
  }

  private static let exec: JSON = ["command": ["true"], "stdout": true]

  @Test(
    "a request that asks for nothing, or for what cannot be, is refused before any agent hears of it",
    arguments: [
      ("exec", [:], "you must specify at least 1 of stdin, stdout, stderr"),
      ("exec", ["stdout": true], "you must specify a command"),
      ("exec", ["stdout": true, "command": [""]], "you must specify a command"),
      ("exec", ["stdout": true, "command": "true"], "options.command: expected array, got string"),
      ("exec", ["stdout": 1, "command": ["true"]], "options.stdout: expected bool, got number"),
      ("exec", ["stdout": true, "command": ["a", "b\u{0}"]], "an argument of the command has a NUL byte"),
      ("exec", ["stdout": true, "command": ["true"], "port": 80], "exec takes no port"),
      ("attach", ["stdout": true, "port": 80], "attach takes no port"),
      ("attach", ["command": ["true"]], "you must specify at least 1 of stdin, stdout, stderr"),
      ("portforward", ["port": -1], "-1 is no port"), ("portforward", ["port": 65_536], "65536 is no port"),
    ] as [(String, JSON, String)])
  func refused(_ purpose: String, _ body: JSON, _ words: String) throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let answer = harness.ask(Self.request(purpose, body))
    #expect(answer.code == 400)
    #expect(answer.message.contains(words), "\(answer.message)")
  }

  @Test("a command of more bytes than any kernel takes is refused")
  func tooLong() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let long = String(repeating: "x", count: PodStreamOptions.commandLimit)
    let answer = harness.ask(Self.request("exec", ["stdout": true, "command": [.string(long)]]))
    #expect(answer.code == 400 && answer.message.contains("65536 bytes"))
  }

  @Test("a dry run of an entry is refused: nobody would know what it did")
  func dryRun() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    var request = Self.request("exec", Self.exec)
    request.options.dryRun = true
    let answer = harness.ask(request)
    #expect(answer.code == 400 && answer.message == "a dry run enters no pod")
  }

  @Test("no pod, no such container, no node yet: each in Kubernetes' words")
  func unreachable() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    #expect(harness.ask(Self.request("exec", Self.exec, pod: "q")).code == 404)
    var body = Self.exec
    body["container"] = "side"
    let side = harness.ask(Self.request("exec", body))
    #expect(side.code == 400 && side.message == "container side is not valid for pod p")
    for purpose in ["exec", "attach", "portforward"] {
      var body = Self.exec
      body["port"] = purpose == "portforward" ? 80 : nil
      let answer = harness.ask(Self.request(purpose, body))
      #expect(answer.code == 400 && answer.message == "pod p does not have a host assigned")
    }
  }

  @Test("only pods are entered, by those three parts, with the verb of their own")
  func elsewhere() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    for (kind, part) in [(Kind.jobs, "exec"), (.pods, "status"), (.pods, "log"), (.pods, ""), (.nodes, "exec")] {
      let request = APIRequest(
        verb: .connect, kind: kind, namespace: "default", name: "p", subresource: part, body: Self.exec)
      #expect([404, 405].contains(harness.ask(request).code), "\(kind) \(part)")
    }
    let get = APIRequest(verb: .get, kind: .pods, namespace: "default", name: "p", subresource: "exec")
    #expect(harness.ask(get).code == 404)
  }

  @Test("what is asked for is create, whatever the method: who may only read may not")
  func rights() throws {
    let access = AccessAttributes(Self.request("exec", Self.exec))
    #expect(access.verb == "create" && access.resource == "pods" && access.subresource == "exec")
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let eve = Subject(name: "eve", groups: [Subject.authenticated], door: .https)
    let answer = harness.ask(Self.request("exec", Self.exec, by: eve))
    #expect(answer.code == 403)
    #expect(
      answer.message
        == "pods \"p\" is forbidden: User \"eve\" cannot create resource \"pods/exec\" in API group \"\" in the "
        + "namespace \"default\"")
  }
}
