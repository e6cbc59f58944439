// A keeper and its data directory: copied, moved, renamed and deleted while pods run.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite(.enabled(if: isRoot, "namespaces by clone need root")) struct KeeperDirectoryTests {
  private func counting(_ file: String) -> String { "while :; do echo x >> \(file); sleep 0.02; done" }

  private func grows(_ file: String) -> Bool {
    let before = text(file).utf8.count
    return eventually { text(file).utf8.count > before }
  }

  @Test("a keeper in a copied directory sweeps nothing, has swept nobody, and bears another mark: also on later starts")
  func copied() throws {
    let keeper = try TestKeeper()
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: counting(file))
    #expect(grows(file))
    let copy = try TestKeeper(copyOf: keeper)
    #expect(copy.sweptKeepers == [] && copy.directory != keeper.directory && !copy.directory.isEmpty)
    #expect(text("\(copy.scratch.path)/keeper.log").contains("moved or copied here"))
    let mark = copy.directory
    let first = copy.identity
    try copy.replace()
    #expect(copy.sweptKeepers == [first] && copy.directory == mark)
    #expect(grows(file))
    #expect(try PodSweep.inits(of: keeper.data).count == 1)
  }

  @Test("a copy of a killed keeper's directory proves nothing either, and the directory itself still does")
  func copiedWhenDead() throws {
    let keeper = try TestKeeper()
    let old = keeper.identity
    let mark = keeper.directory
    keeper.child.signal(SIGKILL)
    #expect(eventually { keeper.child.reap() != nil })
    let copy = try TestKeeper(copyOf: keeper)
    #expect(copy.sweptKeepers == [] && copy.directory != mark)
    try keeper.replace()
    #expect(keeper.sweptKeepers == [old] && keeper.directory == mark)
  }

  @Test("a keeper whose directory was deleted or moved away ends its pods and itself", arguments: ["rm", "mv"])
  func lost(how: String) throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--lost-directory", "300"]))
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: "trap 'exit 0' TERM; \(counting(file))")
    #expect(grows(file))
    keeper.disconnect()
    if how == "rm" {
      try Files.removeTree(keeper.data)
    } else {
      #expect(rename(keeper.data, "\(keeper.scratch.path)/elsewhere") == 0)
    }
    #expect(eventually { keeper.child.reap() != nil })
    #expect(keeper.child.status == .exited(code: 0))
    #expect(processes(with: file) == [])
    #expect(text("\(keeper.scratch.path)/keeper.log").contains("was deleted or moved away"))
    try Files.makeDirectory(keeper.data)
  }

  @Test("a keeper whose directory is there stays, whatever happens to what is in it")
  func kept() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--lost-directory", "60"]))
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: counting(file))
    for name in try Files.list(keeper.data) where name.hasSuffix(".json") || name == "keepers" {
      try Files.removeTree("\(keeper.data)/\(name)")
    }
    let end = Clocks.boot() + 500_000_000
    #expect(keeper.wait { Clocks.boot() > end })
    #expect(keeper.child.reap() == nil && grows(file))
  }
}
