"""Below the thread pool: the entry through which every thread calls a kernel.

numba compiles a kernel to a native *unit* and to a wrapper, which Python calls and which unpacks the arguments. For a
kernel whose last two parameters are ``start, stop`` we put two small functions between wrapper and unit:

    launch    start >= 0: call the unit. start < 0: -start is the address of the pool's board (threads.py); put the
              unpacked arguments into a block on the stack and give it to the pool's ``run``, with the piece below
    piece     call the unit for ``start..stop``, everything else as it stands in the block

So a launch enters compiled code once for all pieces, and a worker calls ``piece`` without the interpreter.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

INT, STATUS = ir.IntType(64), ir.IntType(32)
_PIECE = ir.FunctionType(ir.VoidType(), [INT, INT, INT])


def _emit_launch(context: Any, module: ir.Module, fndesc: Any) -> ir.Function:
    """Emit ``piece`` and ``launch`` beside the unit, which takes (result, error, *arguments) and returns a status."""
    kind = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
    unit = ir.Function(module, kind, fndesc.llvm_func_name)
    block_type = ir.LiteralStructType([STATUS, *kind.args])
    words = [ir.Constant(STATUS, i) for i in range(len(kind.args) + 1)]

    piece = ir.Function(module, _PIECE, f"{fndesc.llvm_func_name}.piece")
    builder = ir.IRBuilder(piece.append_basic_block())
    block, start, stop = piece.args
    block = builder.inttoptr(block, block_type.as_pointer())
    arguments = [builder.load(builder.gep(block, [words[0], word])) for word in words[1:-2]]
    status = builder.call(unit, [*arguments, start, stop])
    with builder.if_then(builder.icmp_signed("!=", status, words[0]), likely=False):
        builder.store(status, builder.gep(block, [words[0], words[0]]))
    builder.ret_void()

    launch = ir.Function(module, kind, f"{fndesc.llvm_func_name}.launch")
    builder = ir.IRBuilder(launch.append_basic_block())
    *_, start, stop = launch.args
    with builder.if_then(builder.icmp_signed(">=", start, INT(0)), likely=True):
        builder.ret(builder.call(unit, launch.args))
    block = builder.alloca(block_type)
    for value, word in zip([words[0], *launch.args], words, strict=True):
        builder.store(value, builder.gep(block, [words[0], word]))
    board = builder.neg(start)
    run_type = ir.FunctionType(STATUS, [*kind.args[:2], INT, INT, INT, INT])
    run = builder.load(builder.inttoptr(board, run_type.as_pointer().as_pointer()))
    builder.call(run, [*launch.args[:2], board, builder.ptrtoint(piece, INT), builder.ptrtoint(block, INT), stop])
    builder.ret(builder.load(builder.gep(block, [words[0], words[0]])))
    return launch


class _LaunchLower(Lower):
    def create_cpython_wrapper(self, release_gil: bool = False) -> None:
        module = self.context.create_module("wrapper")
        launch = _emit_launch(self.context, module, self.fndesc)
        wrapper = PyCallWrapper(self.context, module, launch, self.fndesc, self.env, self.call_helper, release_gil)
        wrapper.build()
        self.library.add_ir_module(module)


@register_pass(mutates_CFG=True, analysis_only=False)
class _LaunchLowering(NativeLowering):
    _name = "launch_lowering"
    lowering_class = _LaunchLower


class LaunchCompiler(Compiler):
    """numba's compiler, with ``launch`` between the wrapper that Python calls and the unit."""

    def define_pipelines(self) -> list[Any]:
        """Return numba's passes; the one that emits code is ours."""
        (passes,) = super().define_pipelines()
        passes.passes = [(_LaunchLowering if p is NativeLowering else p, text) for p, text in passes.passes]
        passes.finalize()
        return [passes]
