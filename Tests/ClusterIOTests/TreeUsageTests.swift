// Owns: tests of counting what a tree holds, as du does, whatever is in it.

import ClusterIO
import Glibc
import Testing

@Suite("what a tree holds") struct TreeUsageTests {
  private func with(_ body: (String) throws -> Void) throws {
    let path = "/tmp/stint-usage-\(UInt64.random(in: 0...UInt64.max))"
    try Files.makeDirectory(path)
    defer { try? Files.removeTree(path) }
    try body(path)
  }

  private func du(_ path: String) throws -> Int64 {
    let output = "\(path).du"
    defer { unlink(output) }
    let child = try Child(
      Child.Options(
        path: "/bin/sh", arguments: ["sh", "-c", "du -sx --block-size=1 \"$0\" >\"$1\"", path, output],
        environment: ["PATH=/usr/bin:/bin"]))
    while child.reap() == nil { poll(nil, 0, 5) }
    return Int64(try Files.readLine(output).split(separator: "\t").first ?? "") ?? -1
  }

  @Test("files, holes, links of both kinds, folders: as du counts them")
  func asDu() throws {
    try with { path in
      try Files.makeDirectory("\(path)/a/b/c")
      for name in ["one", "a/two", "a/b/c/three"] {
        try Files.writeAtomically("\(path)/\(name)", [UInt8](repeating: 7, count: 300_000))
      }
      #expect(link("\(path)/one", "\(path)/a/same") == 0)
      #expect(symlink("/usr", "\(path)/a/elsewhere") == 0)
      try Files.writeAtomically("\(path)/hole", [])
      #expect(truncate("\(path)/hole", 1 << 40) == 0)
      #expect(Files.usage(below: path)?.bytes == (try du(path)))
    }
  }

  @Test("a tree deeper than any path is long is counted whole")
  func deep() throws {
    try with { path in
      var directory = open(path, O_RDONLY | O_DIRECTORY)
      let name = String(repeating: "d", count: 200)
      for _ in 0..<100 {
        #expect(mkdirat(directory, name, 0o755) == 0)
        let next = openat(directory, name, O_RDONLY | O_DIRECTORY)
        close(directory)
        directory = next
      }
      let file = openat(directory, "f", O_WRONLY | O_CREAT, 0o644)
      try Files.writeAll(file, [UInt8](repeating: 1, count: 1_000_000), path: "f")
      close(file)
      close(directory)
      #expect(Files.usage(below: path)?.bytes ?? 0 > 1_000_000)
    }
  }

  @Test("a tree whose files go while it is read is counted all the same")
  func shrinking() throws {
    try with { path in
      try Files.makeDirectory("\(path)/kept")
      try Files.writeAtomically("\(path)/kept/big", [UInt8](repeating: 7, count: 1_000_000))
      let script = "cd \"$0\"; while :; do for n in 1 2 3 4 5 6 7 8 9; do echo $n >f$n; done; rm -f f*; done"
      let child = try Child(
        Child.Options(path: "/bin/sh", arguments: ["sh", "-c", script, path], environment: ["PATH=/usr/bin:/bin"]))
      defer {
        child.signal(SIGKILL)
        while child.reap() == nil { poll(nil, 0, 5) }
      }
      for _ in 0..<300 { #expect(Files.usage(below: path)?.bytes ?? 0 >= 1_000_000) }
    }
  }

  @Test("nothing there is nothing; what lies beyond the most entries is not counted")
  func bounds() throws {
    try with { path in
      #expect(Files.usage(below: "\(path)/none") == TreeUsage())
      for number in 0..<10 {
        try Files.writeAtomically("\(path)/\(number)", [UInt8](repeating: 7, count: 4_096))
      }
      let all = try #require(Files.usage(below: path))
      let few = try #require(Files.usage(below: path, entries: 3))
      #expect(few.bytes < all.bytes && few.bytes > 0 && all.inodes == 11)
    }
  }
}
