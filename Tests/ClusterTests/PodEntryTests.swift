// Ways into pods through the real client: exec, cp, port-forward, and that whoever goes takes only his own along.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("Ways into a pod")
struct PodEntryTests {
  /// A cluster of one node with a pod of job `held` that runs until told; its name.
  private static func withPod(
    _ more: String = "", path: String? = nil, _ body: @escaping @Sendable (TestCluster, String) throws -> Void
  ) async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1, timing: []) { cluster in
        let script = "\(more)\nuntil [ -e /ledger/go ]; do sleep 0.2; done\nsign end\n"
        let job = cluster.manifest("held", .script(script)) { job in
          guard let path else { return }
          let key = ["spec", "template", "spec", "containers"]
          var container = job[path: key]?.arrayValue?.first ?? .null
          container["env"] = .array((container["env"]?.arrayValue ?? []) + [["name": "PATH", "value": .string(path)]])
          job[path: key] = [container]
        }
        try cluster.apply(job)
        try eventually("the pod signs") { cluster.ledger.attempts.count == 1 }
        let pod = try found(cluster.ledger.attempts.first?.pod, "pod")
        try eventually("it is Running") { try cluster.status("held", "ready") == 1 }
        try body(cluster, pod)
      }
    }
  }

  @Test("exec has the container's environment and files, both outputs, and the command's exit status")
  func exec() async throws {
    try await Self.withPod { cluster, pod in
      let script = "echo $STINT_FENCING_TOKEN; ls /ledger; echo no >&2; exit 7"
      let result = try cluster.stint("exec", pod, "--", "sh", "-c", script)
      try checkEqual(result.status, 7, "the exit status; it printed \(result.text)")
      let token = cluster.ledger.attempts.first?.token
      let lines = result.text.split(separator: "\n").map(String.init)
      try check(lines.contains("\(token ?? -1)"), "the pod's own token: \(result.text)")
      for word in ["signs", "no", "command terminated with exit code 7"] {
        try check(lines.contains(word), "\(word) in \(result.text)")
      }
      try checkEqual(try cluster.stint("exec", "job/held", "--", "true").status, 0, "exec by the Job's name")
    }
  }

  @Test("what is wrong is said in Kubernetes' words: no such pod, container, command, or a pod that has ended")
  func refused() async throws {
    try await Self.withPod { cluster, pod in
      let cases: [([String], String)] = [
        (["exec", "nosuch", "--", "true"], "pods \"nosuch\" not found"),
        (["exec", pod, "-c", "side", "--", "true"], "container side is not valid for pod \(pod)"),
        (["exec", pod, "--", "no-such-thing"], "exec: \"no-such-thing\": executable file not found in $PATH"),
        (["exec", pod, "--", "/etc/passwd"], "permission denied"),
        (["exec", pod], "too few arguments"), (["exec", pod, "true"], "name a pod, and behind -- the command"),
        (["port-forward", pod, "0"], "is no port"),
        (["cp", "a", "b"], "one of source and target is in a pod"),
        (["cp", "/no/such/file", "\(pod):/tmp/x"], "doesn't exist in local filesystem"),
      ]
      for (words, text) in cases {
        let result = try cluster.stint(words)
        try check(result.status != 0 && result.text.contains(text), "\(words): \(result)")
      }
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
      try cluster.must("wait", "job/held", "--for=complete", "--timeout", "60s", "-q")
      let late = try cluster.stint("exec", pod, "--", "true")
      try check(late.status == 1 && late.text.contains("completed pod"), "\(late)")
    }
  }

  @Test("attach shows what is written from then on, hands an input in to its end, and says what a container has not")
  func attach() async throws {
    try await Self.withPod { cluster, pod in
      let loop = "while read line; do echo \"got $line\"; done; echo end"
      try cluster.apply([
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "typed"],
        "spec": [
          "restartPolicy": "Never",
          "containers": [
            [
              "name": "main", "image": "host", "command": ["sh", "-c", .string(loop)], "stdin": true, "stdinOnce": true,
            ]
          ],
        ],
      ])
      try cluster.must("wait", "pod/typed", "--for=condition=Ready", "--timeout", "60s", "-q")
      let program = try Program(
        ["-c", "printf 'one\\ntwo\\n' | \"$0\" attach -it typed", Processes.program], path: "/bin/bash",
        environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
        output: "\(cluster.directory)/attached")
      try checkEqual(program.end(within: 60), 0, "the client: \(program.text)")
      try check(program.text.hasSuffix("got one\ngot two\nend\n"), program.text)
      try check(program.text.contains("container main did not allocate one"), program.text)
      let cases: [([String], String)] = [
        (["attach", "-i", pod], "main has no input"), (["attach", pod, "-c", "side"], "side is not valid for pod"),
        (["attach", "nosuch"], "pods \"nosuch\" not found"), (["attach", "typed"], "completed pod"),
      ]
      try eventually("it has ended") { try cluster.stint("get", "pod", "typed").text.contains("Completed") }
      for (words, text) in cases {
        let result = try cluster.stint(words)
        try check(result.status != 0 && result.text.contains(text), "\(words): \(result)")
      }
    }
  }

  @Test("keys that leave a terminal go no further, alone they do")
  func detaching() {
    func typed(_ pieces: [UInt8]...) -> ([UInt8], Bool) {
      var keys = DetachKeys([16, 17])
      let passed = pieces.flatMap { keys.passing($0) }
      return (passed, keys.areTyped)
    }
    #expect(typed([1, 16, 2], [16, 16], [3]) == ([1, 16, 2, 16, 16, 3], false))
    #expect(typed([1, 16], [17, 5]) == ([1], true))
    #expect(typed([16, 16, 17]) == ([16], true))
    #expect(typed([17, 16]) == ([17], false))
    var none = DetachKeys([])
    #expect(none.passing([16, 17]) == [16, 17] && !none.areTyped)
  }

  @Test("20 MB go in and come out byte for byte; a reader that wants only the first of them ends it at once")
  func manyBytes() async throws {
    try await Self.withPod { cluster, pod in
      let file = "\(cluster.directory)/many"
      var bytes: [UInt8] = []
      var random = SplitMix64(seed: 5)
      while bytes.count < 20_000_000 { withUnsafeBytes(of: random.next()) { bytes += $0 } }
      try Files.writeAtomically(file, bytes)
      let environment = ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"]
      func shell(_ script: String) throws -> String {
        let program = try Program(
          ["-c", script, Processes.program, pod, file], path: "/bin/bash", environment: environment,
          output: "\(cluster.directory)/shell-\(script.count)")
        let status = try program.end(within: 120)
        return "\(status) \(program.text)"
      }
      let whole = try shell("\"$0\" exec -i \"$1\" -- cat < \"$2\" | cmp - \"$2\" && echo same")
      try checkEqual(whole, "0 same\n", "there and back")
      let some = try shell("\"$0\" exec -i \"$1\" -- head -c 3 < \"$2\" | wc -c")
      try checkEqual(some, "0 3\n", "a command that reads no further")
      let cut = try shell("\"$0\" exec \"$1\" -- sh -c 'while :; do echo y; done' | head -n 1")
      try checkEqual(cut, "0 y\n", "a reader that goes")
    }
  }

  @Test("files and folders are copied both ways, with their modes, under another name or into a folder")
  func copies() async throws {
    try await Self.withPod { cluster, pod in
      let here = "\(cluster.directory)/copies"
      let there = "\(cluster.directory)/ledger/there"
      for folder in ["\(here)/tree/inner", there] { try Files.makeDirectory(folder) }
      try Files.writeAtomically("\(here)/tree/inner/a,b&c", Array("one\n".utf8), mode: 0o640)
      symlink("inner/a,b&c", "\(here)/tree/link")
      // The pod's folder is the same as the ledger's.
      try cluster.must("cp", "\(here)/tree", "\(pod):/ledger/there/other")
      try cluster.must("cp", "\(here)/tree/inner/a,b&c", "\(pod):/ledger/there")
      for path in ["other/inner/a,b&c", "a,b&c"] {
        try checkEqual(try Files.read("\(there)/\(path)"), Array("one\n".utf8), path)
        try checkEqual(try Files.status("\(there)/\(path)").mode & 0o777, 0o640, "mode of \(path)")
      }
      try check(Files.exists("\(there)/other/link"), "the link leads to the same")
      try cluster.must("cp", "\(pod):/ledger/there/other", "\(here)/back")
      try cluster.must("cp", "\(pod):/ledger/there/a,b&c", "\(here)/file")
      for path in ["back/inner/a,b&c", "file"] {
        try checkEqual(try Files.read("\(here)/\(path)"), Array("one\n".utf8), path)
      }
      let missing = try cluster.stint("cp", "\(pod):/ledger/none", "\(here)/none")
      try check(missing.status != 0 && missing.text.contains("none"), "\(missing)")
    }
  }

  @Test("what a container's tar packs beside what was asked for is not taken, and what it says is harmless")
  func hostileTar() async throws {
    // A tar that answers with more than it was asked for.
    let script = """
      mkdir -p /ledger/bin /ledger/evil && cd /ledger/evil
      echo asked > asked; echo stolen > .bashrc
      cat > /ledger/bin/tar <<'END'
      #!/bin/sh
      printf '\\033]0;title\\007odd\\n' >&2
      cd /ledger/evil && exec /usr/bin/tar -cPf - asked .bashrc ../bin
      END
      chmod 755 /ledger/bin/tar
      """
    try await Self.withPod(script, path: "/ledger/bin:/usr/bin:/bin") { cluster, pod in
      let here = "\(cluster.directory)/safe"
      try Files.makeDirectory(here)
      try eventually("its tar is there") { Files.exists("\(cluster.directory)/ledger/bin/tar") }
      let result = try cluster.stint("cp", "\(pod):/ledger/evil/asked", "\(here)/asked")
      try checkEqual(try Files.list(here), ["asked"], "what has come")
      try check(result.text.contains("odd") && !result.text.utf8.contains(0x1B), "its words: \(result)")
    }
  }

  @Test("a copy that the container does not take ends, however much there is of it")
  func refusedCopy() async throws {
    try await Self.withPod { cluster, pod in
      let file = "\(cluster.directory)/many"
      try Files.writeAtomically(file, [UInt8](repeating: 7, count: 8_000_000))
      let result = try cluster.stint("cp", file, "\(pod):/no/such/folder/many")
      try check(result.status == 2 && result.text.contains("ended with exit code 2"), "\(result)")
    }
  }

  @Test("a forwarded port answers several clients at once, and says why it does not")
  func ports() async throws {
    let server = """
      cat > /tmp/server-$STINT_FENCING_TOKEN.py <<'END'
      import http.server, os
      server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
      open("/ledger/port", "w").write(str(server.server_port))
      server.serve_forever()
      END
      cd /ledger && python3 /tmp/server-$STINT_FENCING_TOKEN.py 2> /dev/null &
      """
    try await Self.withPod(server) { cluster, pod in
      let file = "\(cluster.directory)/ledger/port"
      try eventually("the server listens") { Files.exists(file) && (try? Files.readLine(file))?.isEmpty == false }
      let port = try Files.readLine(file)
      let program = try Program(
        ["port-forward", pod, ":\(port)", ":1"],
        environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
        output: "\(cluster.directory)/forward")
      func local(_ remote: String) -> String? {
        let line = program.text.split(separator: "\n").first { $0.hasSuffix("-> \(remote)") }
        return line?.split(separator: " ").dropFirst(2).first?.split(separator: ":").last.map(String.init)
      }
      try eventually("it forwards", seen: { program.text }) { local("1") != nil }
      let here = try found(local(port), "local port")
      let ask = "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET /port HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
      let clients = try (0..<8).map { number in
        try Program(["-c", ask, here], path: "/bin/bash", output: "\(cluster.directory)/asked-\(number)")
      }
      for client in clients {
        try checkEqual(client.end(within: 60), 0, "a client")
        try check(client.text.contains("200 OK") && client.text.hasSuffix(port), client.text)
      }
      let nowhere = try Program(
        ["-c", ask, try found(local("1"), "port")], path: "/bin/bash", output: "\(cluster.directory)/nowhere")
      _ = try nowhere.end(within: 60)
      try eventually("it says so", seen: { program.text }) { program.text.contains("failed to connect to localhost:1") }
      try program.killAndReap(SIGTERM)
    }
  }

  @Test("a client that goes takes its own command along, and nothing else; an agent that goes is told of")
  func gone() async throws {
    try await Self.withPod { cluster, pod in
      let environment = ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"]
      func start(_ name: String) throws -> Program {
        let script = "touch /ledger/\(name); exec sleep 6\(name.count)00"
        let program = try Program(
          ["exec", pod, "--", "sh", "-c", script], environment: environment, output: "\(cluster.directory)/\(name)")
        try eventually("\(name) runs") { Files.exists("\(cluster.directory)/ledger/\(name)") }
        return program
      }
      func sleeps(_ seconds: String) -> Bool {
        Processes.mentioning(cluster.mark).contains { process in
          let line = (try? Files.read("/proc/\(process.pid)/cmdline")) ?? []
          return String(decoding: line, as: UTF8.self).contains("sleep\0\(seconds)")
        }
      }
      let first = try start("one")
      let second = try start("four")
      try check(sleeps("6300") && sleeps("6400"), "both run")
      try first.killAndReap()
      try eventually("its command ends") { !sleeps("6300") }
      try check(sleeps("6400"), "the other's goes on")
      try cluster.killAgent("node-1")
      try checkEqual(second.end(within: 60), 1, "the other client: \(second.text)")
      try check(second.text.contains("the connection to the node ended"), second.text)
      try eventually("its command ends") { !sleeps("6400") }
      try cluster.startAgent("node-1")
      try eventually("it can be entered again") { try cluster.stint("exec", pod, "--", "true").status == 0 }
      try checkEqual(cluster.ledger.attempts.map(\.starts), [1], "the pod has lived on")
    }
  }

  @Test(
    "places and ports of the command line",
    arguments: [
      ("pod:/tmp/a", "pod", "/tmp/a"), ("/a:b", "", "/a:b"), ("./a:b", "", "./a:b"), ("plain", "", "plain"),
    ])
  func places(_ word: String, _ pod: String, _ path: String) {
    let place = CopyCommand.Place(word)
    #expect((place.pod ?? "") == pod && place.path == path)
  }

  @Test("a path's folder and name, and an archive's members under another name")
  func names() {
    #expect(CopyCommand.Place("/a/b/").parts == ("/a", "b"))
    #expect(CopyCommand.Place("/a").parts == ("/", "a"))
    #expect(CopyCommand.Place("a").parts == (".", "a"))
    #expect(CopyCommand.renaming("a", to: "a").isEmpty)
    #expect(CopyCommand.renaming("a.b", to: "c,&") == ["--transform=flags=rh;s,^a\\.b\\(/\\|$\\),c\\,\\&\\1,"])
    #expect(PortForwardCommand.ports("8080").map { [$0.local, $0.remote] } == [8_080, 8_080])
    #expect(PortForwardCommand.ports("1:2").map { [$0.local, $0.remote] } == [1, 2])
    #expect(PortForwardCommand.ports(":2").map { [$0.local, $0.remote] } == [0, 2])
    for word in ["", "0", "a", "1:0", "1:2:3", "65536", ":"] { #expect(PortForwardCommand.ports(word) == nil) }
  }
}
