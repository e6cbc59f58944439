// The machines of the tests themselves, and a coordinator that others reach by its machine's addresses and names.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Machines", .enabled(if: Machines.areAvailable, Comment(rawValue: Machines.requirement)))
struct MachinesTests {
  private func with(_ names: String..., body: @escaping @Sendable (Machines) throws -> Void) async throws {
    try await Blocking.run(isBusy: false) {
      let machines = try Machines(names)
      defer { machines.end() }
      do {
        try body(machines)
      } catch {
        throw Failure("\(error)\n\(machines.story())")
      }
    }
  }

  @Test(
    "each has its own name, ids, addresses, processes and disk; the disk outlives a loss of power, all else does not")
  func identities() async throws {
    try await with("one", "two") { machines in
      let facts = ["/proc/sys/kernel/hostname", "/etc/machine-id", "/proc/sys/kernel/random/boot_id"]
      func read(_ name: String) throws -> [String] {
        try machines.must(on: name, "cat", facts[0], facts[1], facts[2]).split(separator: "\n").map(String.init)
      }
      let (one, two) = (try read("one"), try read("two"))
      try checkEqual([one[0], two[0]], ["one", "two"], "host names")
      for index in facts.indices {
        let own = try Files.readLine(facts[index])
        try checkEqual(Set([one[index], two[index], own]).count, 3, "different \(facts[index])")
      }
      try machines.must(on: "one", "bash", "-c", "echo kept > /var/lib/mark; echo lost > /tmp/mark; sleep 1000 &")
      try checkEqual(Files.readLine(machines.path("one", "/var/lib/mark")), "kept", "what it wrote, seen from outside")
      try check(!Files.exists("/var/lib/mark"), "it wrote on this machine's disk")
      try checkEqual(machines.run(on: "two", "test", "-e", "/var/lib/mark").status, 1, "on the other's disk")
      try machines.powerOff("one")
      try machines.boot("one")
      let again = try read("one")
      try checkEqual(Array(again[..<2]), Array(one[..<2]), "name and machine id after a loss of power")
      try check(again[2] != one[2], "the boot id is the same after a loss of power")
      try checkEqual(machines.must(on: "one", "cat", "/var/lib/mark"), "kept\n", "the disk")
      try checkEqual(machines.run(on: "one", "test", "-e", "/tmp/mark").status, 1, "/tmp")
      try check(!machines.must(on: "one", "ps", "ax").contains("sleep 1000"), "a process survived the loss of power")
    }
  }

  /// Whether `from` gets an answer of the coordinator at `address` within two seconds.
  private static func reaches(_ machines: Machines, _ from: String, _ address: String) throws -> Bool {
    let script = """
      exec 3<>/dev/tcp/\(address)/7480 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && echo "$line"
      """
    let (_, text) = try machines.run(on: from, "timeout", "2", "bash", "-c", script)
    // In plain text, which the port for HTTPS answers in one line.
    return text.contains("400 Bad Request")
  }

  private static func startCoordinator(_ machines: Machines, on name: String, _ more: String...) throws {
    _ = try machines.start(
      on: name, ["stint", "coordinator", "--data", "/var/lib/stint"] + more, log: "coordinator")
    try eventually("the coordinator serves", seconds: 60) {
      Files.exists(machines.path(name, "/var/lib/stint/coordinator.json"))
    }
  }

  @Test("a cable is cut and joined, a direction lost, a line narrow: each does that, and nothing else")
  func links() async throws {
    try await with("one", "two", "three") { machines in
      try Self.startCoordinator(machines, on: "one", "--api", "::")
      func reach(_ from: String) throws -> Bool {
        let four = try Self.reaches(machines, from, machines.address("one"))
        let six = try Self.reaches(machines, from, machines.address6("one"))
        try checkEqual(four, six, "\(from) reaches by IPv4 and by IPv6")
        return four
      }
      try check(reach("two") && reach("three"), "they do not reach it at first")
      try machines.cut("two")
      try check(try !reach("two") && reach("three"), "the cut of two")
      try machines.join("two")
      try check(reach("two"), "two does not reach it after it was joined again")
      // Its answers to two are lost, so two hears nothing; three is not concerned.
      try machines.mute("one", to: "two")
      try check(try !reach("two") && reach("three"), "one is mute to two")
      try machines.unmute("one", to: "two")
      try check(reach("two"), "two does not reach it after one speaks again")
      try machines.slow("two", kilobits: 8)
      let start = Clocks.boot()
      for _ in 0..<20 { _ = try Self.reaches(machines, "two", machines.address("one")) }
      let took = (Clocks.boot() - start) / 1_000_000
      // 20 handshakes and answers are over 5,000 bytes, of which 1,600 pass at once and each other one takes 1 ms.
      try check(took > 3_000, "5,000 bytes took \(took) ms by a line of 8 kilobits")
      try machines.slow("two", kilobits: 0)
      try check(reach("two"), "two does not reach it by a line that is as before")
    }
  }

  @Test("silent connections of one machine take its share of places, and another machine's client does not wait")
  func silentMachine() async throws {
    try await with("head", "noisy", "laptop") { machines in
      try Self.startCoordinator(machines, on: "head", "--api", "0.0.0.0")
      let script = """
        for number in $(seq 200); do exec {file}<>/dev/tcp/\(machines.address("head"))/7480; done
        echo all > /var/tmp/open; sleep 100
        """
      _ = try machines.start(on: "noisy", "bash", "-c", script)
      try eventually("all are opened") { Files.exists(machines.path("noisy", "/var/tmp/open")) }
      // Established ones of port 7480, as the kernel lists them.
      func held() throws -> Int {
        try machines.must(on: "head", "cat", "/proc/net/tcp").split(separator: "\n").filter { line in
          let fields = line.split(separator: " ")
          return fields.count > 3 && fields[1].hasSuffix(":1D38") && fields[3] == "01"
        }.count
      }
      var seen = 0
      try eventually("the share alone is held", seen: { "(\(seen) are)" }) {
        seen = try held()
        return seen == 64
      }
      try check(Self.reaches(machines, "laptop", machines.address("head")), "laptop gets no answer")
    }
  }

  @Test("another machine reaches the Kubernetes API by each name and address of the certificate, and by no other")
  func api() async throws {
    guard Files.exists("/usr/bin/curl") else { return print("skipped: there is no curl") }
    try await with("head", "laptop") { machines in
      try Self.startCoordinator(machines, on: "head", "--api", "::", "--advertise", "stint.example")
      let config = try machines.must(on: "head", "stint", "kubeconfig", "--data", "/var/lib/stint")
      try check(config.contains("server: https://stint.example:7480"), config)
      try Files.writeAtomically(
        "\(machines.shared)/pki.pem", Files.read(machines.path("head", "/var/lib/stint/pki/authority.pem")))
      let head = (machines.address("head"), machines.address6("head"))
      func ask(_ host: String, as name: String? = nil) throws -> (status: Int32, text: String) {
        let header = name.map { ["-H", "Host: \($0)"] } ?? []
        let words =
          ["curl", "-sS", "-m", "10", "--cacert", "/mnt/shared/pki.pem"] + header + [
            "--resolve", "head:7480:\(head.0)", "--resolve", "stint.example:7480:\(head.0)", "--resolve",
            "other.example:7480:\(head.0)", "https://\(host):7480/version",
          ]
        let program = try machines.start(on: "laptop", words)
        return (try program.end(within: 30), program.text)
      }
      for host in [head.0, "[\(head.1)]", "head", "stint.example"] {
        let answer = try ask(host)
        try check(answer.status == 0 && answer.text.contains("gitVersion"), "\(host): \(answer)")
      }
      // The machine gets another address while it serves, and loses it again.
      try machines.must(on: "head", "ip", "address", "add", "10.0.0.99/24", "dev", "eth0")
      try eventually("the new address is in the certificate", every: 200) { try ask("10.0.0.99").status == 0 }
      try machines.must(on: "head", "ip", "address", "del", "10.0.0.99/24", "dev", "eth0")
      try eventually("it is a foreign Host again", every: 200) {
        try ask(head.0, as: "10.0.0.99").text.contains("only to the names of its certificate")
      }
      let other = try ask("other.example")
      try check(other.status == 60, "a name that the certificate does not have: \(other)")
      let rebound = try ask(head.0, as: "other.example")
      try check(rebound.text.contains("only to the names of its certificate"), "a foreign Host: \(rebound)")
    }
  }
}
