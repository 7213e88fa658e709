"""Bad input to every command: exit status 2, one line that says what is wrong, and no file touched."""

import hashlib
import logging
import os
import shlex
from pathlib import Path

import jax
import pytest
from fault_files import write_all

from motion_transformer_jax import cli, configs

DEMO = f"{configs.__path__[0]}/demo.py"
FOLDER = f"{configs.__path__[0]}/folder.py"
VOX = f"{configs.__path__[0]}/vox256.py"

# A good command of each kind, but for what a row appends: of an option that is given twice the second counts.
GOOD = {
    "train": f"train --config {DEMO}:debug --workdir new",
    "animate": "animate --checkpoint run --source source.png --driving driving.mp4 --out new.mp4",
    "evaluate": "evaluate --checkpoint run --out new --no-lpips --grid 0 --detector none",
    "study": "evaluate study --out new.html report",
    "tally": "evaluate study tally study_key.json",
    "pickles": "evaluate pickles",
    "prepare": "prepare --dataset folder --source corpus --out new --size 8 --jobs 1",
    "inspect": "prepare inspect",
    "from-torch": "convert from-torch fomm.pth.tar --out new",
    "to-torch": "convert to-torch mtia --out new.pth",
    "contents": "convert inspect",
    "ablate": f"ablate --config {DEMO} --out new --variants debug --config.train.num_steps=2 --no-lpips",
    "capacity": "capacity",
    "benchmark": "benchmark",
    "demo": "demo --out new --variant debug",
    "app": "app --checkpoint run",
    "motrans": "",
}

# Command, what is wrong with it, part of the message.
ROWS = [
    ("motrans", "", "arguments are required: COMMAND"),
    ("motrans", "fly", "unknown command 'fly'; expected one of train, demo,"),
    ("motrans", "--fast", "motrans --help"),
    # train
    ("train", "--workdir", "--workdir: expected one argument"),
    ("train", "--config none.py", "no config file 'none.py'; expected your own or one of demo.py"),
    ("train", "--config empty", "no config file 'empty'"),
    ("train", f"--config {DEMO}:huge", "unknown variant 'huge' of config 'demo'"),
    ("train", "--config text", "text, line 1: invalid syntax; a config file is Python"),
    ("train", "--config source.png", "source.png"),
    ("train", "--config nothing", "nothing has no get_config(variant); write it like configs/folder.py"),
    ("train", "--config syntax.py", "syntax.py, line 1: invalid syntax"),
    ("train", "--config raises.py", "raises.py, line 1: ZeroDivisionError"),
    ("train", "--config number.py", "number.py: get_config returns a int"),
    ("train", "--config field.py", "field.py has an unknown field train.batchsize"),
    ("train", "--config kind.py", "kind.py, line 4: TypeError"),
    ("train", "--config range.py", "model.num_keypoints=0 is out of range; expected a finite number, 1 or more"),
    ("train", "--config.train.batchsize=3", "did you mean 'batch_size'"),
    ("train", "--config.train.batch_size=x", "invalid literal for int"),
    ("train", "--config.train.batch_size=12", "12 is not divisible by the 8 devices"),
    ("train", "--config.train.batch_size=-8", "train.batch_size=-8 is out of range"),
    ("train", "--config.optimizer.learning_rate_generator=nan", "learning_rate_generator=nan is out of range"),
    ("train", "--config.model.image_size=33", "model.image_size=33 is not a multiple of"),
    ("train", "--config.transformer.backbone=resnet", "transformer.backbone='resnet' is unknown; expected one of"),
    ("train", "--config.train='{}'", "'train' is a group; set its fields one by one"),
    ("train", "--steps=3", "unknown option '--steps'; config fields are set by --config.FIELD=VALUE"),
    ("train", "extra", "unexpected argument 'extra'"),
    ("train", "--workdir text/run", "cannot write into text/run (Not a directory)"),
    ("train", "--workdir text", "cannot write into text"),
    ("train", "--workdir loop/run", "cannot write into loop/run"),
    ("train", f"--config {FOLDER}", "data.folder is empty; pass --config.data.folder=DIR"),
    ("train", f"--config {FOLDER} --config.data.folder=none", "no folder data.folder=none"),
    (
        "train",
        f"--config {FOLDER} --config.data.folder=empty --config.perceptual.weights=random",
        "empty has no train/",
    ),
    ("train", f"--config {DEMO}:mraa_avd", "pass --config.train.init_from=RUN"),
    ("train", "--config.train.init_from=none", "no folder train.init_from=none"),
    ("train", "--config.train.backbone_path=none.pth", "no file train.backbone_path=none.pth"),
    ("train", "--config.perceptual.weights=imagenet --config.perceptual.path=none.pth", "no file perceptual.path=none"),
    ("train", "--workdir odd-metrics", "odd-metrics/metrics.jsonl is in the way: a run has a file of that name"),
    ("train", "--workdir odd-checkpoints", "odd-checkpoints/checkpoints is in the way: a run has a folder"),
    ("train", "--workdir dump", "dump holds a step that was not finite, no run to go on with"),
    ("train", "--replay none", "none/batch.npz cannot be read"),
    ("train", "--replay text", "text/batch.npz cannot be read"),
    ("train", "--replay dump", "dump holds no checkpoint; expected what a diverged run left"),
    ("train", "--replay frameless", "frameless holds no frames 'driving' of 32x32"),
    ("train", "--replay dump --steps 3", "--replay takes the dump's own config; leave out --steps 3"),
    ("train", "--coordinator x --num-processes 2 --process-id 0", "--coordinator is 'x'; expected HOST:PORT"),
    ("train", "--coordinator x:y --num-processes 2 --process-id 0", "--coordinator is 'x:y'; expected HOST:PORT"),
    ("train", "--coordinator x:99999 --num-processes 2 --process-id 0", "expected HOST:PORT, such as"),
    ("train", "--process-id 1", "missing --coordinator and --num-processes; expected all three, or --distributed"),
    ("train", "--coordinator x:1 --num-processes 2 --process-id 2", "--process-id is 2; expected 0 to 1"),
    # app
    ("app", "--checkpoint none", "no folder none"),
    ("app", "--max-bytes none", "--max-bytes"),
    # animate
    ("animate", "--source none.png", "there is no image none.png; check the path"),
    ("animate", "--source nothing", "nothing is not an image; expected a png, jpg, bmp, webp, tif, ppm"),
    ("animate", "--source text", "text is not an image"),
    ("animate", "--source driving.mp4", "driving.mp4 is not an image"),
    ("animate", "--source empty", "several sources have several results; give a folder for them instead of new.mp4"),
    ("animate", "--source cut.png", "cannot read the image cut.png"),
    ("animate", f"--source {'x' * 300}", "File name too long"),
    ("animate", "--source /proc/self/mem", "/proc/self/mem"),
    ("animate", "--driving /proc/self/mem", "cannot read /proc/self/mem as a video"),
    ("animate", "--source loop", "cannot read the image loop"),
    ("animate", "--source pipe.png", "pipe.png is a pipe or a device; expected a file"),
    ("animate", "--source bomb.png", "bomb.png has images of 16000x16000 pixels, over the limit of 67,108,864;"),
    ("animate", "--source vector.png", "vector.png is not an image"),
    ("animate", "--max-pixels 3000", "driving.mp4 has images of 64x48 pixels, over the limit of 3,000; take a smaller"),
    ("animate", "--driving none.mp4", "there is no file or folder none.mp4; expected a video"),
    ("animate", "--driving nothing", "cannot read nothing as a video"),
    ("animate", "--driving text", "cannot read text as a video"),
    ("animate", "--driving empty", "the folder empty holds no image; expected frames of a video: "),
    ("animate", "--driving cut.mp4", "cut.mp4"),
    ("animate", "--driving sound.mp4", "sound.mp4 has no picture, only sound or text; expected a video"),
    ("animate", "--driving play.mp4", "cannot read play.mp4 as a video"),
    ("animate", "--driving pipe.mp4", "pipe.mp4 is a pipe or a device; expected a file"),
    ("animate", "--driving bomb.gif", "bomb.gif has no readable frame of 67,108,864 pixels or fewer"),
    ("animate", "--driving bomb.png", "over the limit of 67,108,864"),
    ("animate", "--max-frames 5", "driving.mp4 has more frames than the limit of 5; take a smaller one, or raise"),
    ("animate", "--driving frames --max-frames 2", "frames has more frames than the limit of 2"),
    ("animate", "--max-seconds 0.4", "driving.mp4 lasts longer than the limit of 0.4 seconds"),
    ("animate", "--max-bytes 10", "over the limit of 10; take a smaller one, or raise --max-bytes"),
    ("animate", "--max-bytes 0", "expected a whole number above 0, got '0'"),
    ("animate", "--max-seconds inf", "expected a number above 0, got 'inf'"),
    ("animate", "--checkpoint none", "no folder none; expected the folder of a training run"),
    ("animate", "--checkpoint text", "no folder text"),
    ("animate", "--checkpoint empty", "no config.json in empty"),
    ("animate", "--checkpoint fomm.pth.tar", "no folder fomm.pth.tar"),
    ("animate", "--checkpoint half", "only half-written checkpoints (1.orbax-checkpoint-tmp)"),
    ("animate", "--checkpoint weightless", "no checkpoint in"),
    ("animate", "--checkpoint other", "the checkpoint is from another config"),
    ("animate", "--checkpoint damaged", "cannot be read ("),
    ("animate", "--checkpoint gone", "cannot be read ("),
    ("animate", "--checkpoint unparsed", "unparsed/config.json cannot be read ("),
    ("animate", "--checkpoint listed", "listed/config.json is no config of this version"),
    ("animate", "--checkpoint unknown", "unknown/config.json is no config of this version"),
    ("animate", "--checkpoint typed", "typed/config.json is no config of this version"),
    ("animate", "--checkpoint ranged", "dtype='float8' is unknown; expected one of float32, bfloat16"),
    ("animate", "--out none/new.mp4", "cannot write none/new.mp4: there is no folder none; create it first"),
    ("animate", "--out /proc/new.mp4", "cannot write /proc/new.mp4"),
    ("animate", "--out text/new.mp4", "cannot write text/new.mp4: there is no folder text"),
    ("animate", "--out new.avi", "videos are written as .mp4, .webm or .gif, a single picture as .png"),
    ("animate", "--out new", "and frames into a folder, whose name ends in /; rename it"),
    ("animate", "--out source.png", "would replace the input source.png"),
    ("animate", "--out frames/../driving.mp4", "would replace the input driving.mp4; choose another name"),
    ("animate", "--best-frame 6", "driving.mp4 has 6 frames; expected 0 to 5 or auto"),
    ("animate", "--best-frame=-1", "expected auto or a frame's number from 0, got '-1'"),
    ("animate", "--best-frame last", "expected auto or a frame's number from 0, got 'last'"),
    ("animate", "--fps 0", "the frame rate is 0; expected between"),
    ("animate", "--fps nan", "the frame rate is nan; expected between"),
    ("animate", "--fps 1e9", "the frame rate is 1e+09; expected between"),
    ("animate", "--mode sideways", "invalid choice: 'sideways'"),
    ("animate", "--mode avd", "mode avd needs a disentangler, which this checkpoint lacks"),
    ("animate", "--size 3", "unrecognized arguments: --size 3"),
    ("animate", "--out new.png", "the driving video has more than one frame; choose .mp4"),
    ("animate", "--out none/frames/", "there is no folder"),
    ("animate", "--out frames/ --overwrite", "it holds 0.png; choose a new folder, or one of frames only"),
    ("animate", "--out numbered/", "nothing tells that its 000000.png is an earlier result; pass --overwrite"),
    ("animate", "--out numbered/ --source numbered/000000.png --overwrite", "would replace the input"),
    ("animate", "--out new.gif --lossless", "a gif has 256 colours"),
    ("animate", "--crop 30,0,900,20", "does not lie inside"),
    ("animate", "--driving-crop 30,40,20,20", "does not lie inside"),
    ("animate", "--crop -10,0,5,5", "expected auto, none or left,top,width,height in pixels, got '-10,0,5,5'"),
    ("animate", "--driving-crop -1,0,5,5", "expected auto, none or left,top,width,height in pixels, got '-1,0,5,5'"),
    ("animate", "--crop --paste-back", "argument --crop: expected one argument"),
    ("animate", "--out many --source source.png cut.png", "cannot read the image cut.png"),
    ("animate", "--out many --source frames source.png --crop 20,20,20,20", "does not lie inside frames/0.png"),
    ("animate", "--crop middle", "expected auto, none or left,top,width,height in pixels, got 'middle'"),
    ("animate", "--start 1", "seconds long; choose an earlier start"),
    ("animate", "--start 0.2 --end 0.1", "the end is at 0.1 seconds"),
    ("animate", "--multiply 9", "multiplied by 9; expected between 0 and 5"),
    ("animate", "--format gif", "--format is for several sources"),
    ("animate", "--view both", "invalid choice: 'both'"),
    ("animate", "--batch-size 0", "expected a number from 1, got '0'"),
    ("animate", "--driving-size 64", "expected WIDTHxHEIGHT in pixels, such as 640x480, got '64'"),
    ("animate", "--live", "only raw frames and cameras can be live; driving.mp4"),
    ("animate", "--driving-size 64x48", "a driving size is for raw frames and cameras"),
    # evaluate
    ("evaluate", "--checkpoint run large", "large makes images of 64 px but run of 32 px"),
    ("evaluate", "--checkpoint run run", "two systems are named 'run'; give each a name of its own with --name"),
    ("evaluate", "--name a b", "there are 2 names for 1 checkpoints"),
    ("evaluate", "--name ../a", "'../a' cannot name a system"),
    ("evaluate", "--name index.html", "as a file of the report is"),
    ("evaluate", "--checkpoint none", "no folder none"),
    ("evaluate", "--checkpoint half", "only half-written checkpoints"),
    ("evaluate", "--step 7", "no step 7 in"),
    ("evaluate", "--step x", "expected best or a step's number, got 'x'"),
    ("evaluate", "--data none", "there is no folder none; expected a prepared dataset, a folder of videos"),
    ("evaluate", "--data text", "there is no folder text"),
    ("evaluate", "--data empty", "empty has no test/; expected a folder with train/ and test/"),
    ("evaluate", "--data one-split", "one-split/test holds no video"),
    ("evaluate", "--data data-cut", "the files of train in data-cut have"),
    ("evaluate", "--data data-lacking", "data-lacking lacks motion_videos-test.array_record"),
    ("evaluate", "--data data-text", "data-text cannot be read as a prepared dataset"),
    ("evaluate", "--data data-outside", "names a video '../../thesis', which is no file's name"),
    ("evaluate", "--data data-old", "was prepared in version 0.1.0, this program reads 1.0.0"),
    ("evaluate", "--data data-unfinished", "whose preparation is not finished; run the same `prepare` again"),
    ("evaluate", "--num-videos 0", "--num-videos is 0; expected 1 or more"),
    ("evaluate", "--grid -1", "--grid is -1; expected 0 or more"),
    ("evaluate", "--batch-size 0", "--batch-size is 0; expected 1 or more"),
    ("evaluate", "--pairs dataset", "puppets holds no pairs; prepare it with --pairs, or name a CSV file"),
    ("evaluate", "--pairs none.csv", "cannot read none.csv (No such file or directory)"),
    ("evaluate", "--pairs columns.csv", "columns.csv has no columns source and driving"),
    ("evaluate", "--pairs stranger.csv", "stranger.csv, line 2: '../x' is none of the"),
    ("evaluate", "--detector teeth", "invalid choice: 'teeth'"),
    ("evaluate", "--detector bodies", "none is given; name its file with --pose-onnx"),
    ("evaluate", "--detector bodies --pose-onnx none.onnx", "there is no file none.onnx"),
    ("evaluate", "--detector bodies --pose-onnx text", "text cannot be used as an ONNX network"),
    ("evaluate", "--out corpus", "corpus is not empty and holds no earlier report; name another folder with --out"),
    ("evaluate", "--out none/new", "there is no folder"),
    ("evaluate", "--out text", "it is a file; choose another name"),
    ("evaluate", "--out run", "run is not empty and holds no earlier report"),
    ("evaluate", "--max-pixels x", "expected a whole number above 0, got 'x'"),
    ("study", "--out new.txt", "a study is an .html page; rename it"),
    ("study", "--out none/new.html", "there is no folder none"),
    ("study", "none", "none holds no metrics.json"),
    ("study", "report", "a report was given twice"),
    ("study", "elsewhere", "compare reports on one test set"),
    ("study", "text-report", "text-report/metrics.json is not JSON"),
    ("study", "old-report", "old-report/metrics.json has format 0, expected 1; run the evaluation again"),
    ("study", "evil-report", "names '../../etc/passwd', which is not inside its folder"),
    ("study", "clipless", "clipless/metrics.json has no clips of"),
    ("study", "cut-report", "cannot read cut-report/0/videos/v0.mp4 as a video"),
    ("study", "--questions 0", "--questions is 0; expected 1 or more"),
    ("study", "--seed=-1", "--seed is -1; expected 0 or more"),
    ("tally", "", "required: ANSWERS"),
    ("tally", "none.json", "cannot read none.json (No such file or directory); expected a file that the study's page"),
    ("tally", "/proc/self/mem", "cannot read /proc/self/mem (Input/output error)"),
    ("tally", "empty", "cannot read empty (Is a directory)"),
    ("tally", "text", "text is not JSON"),
    ("tally", "deep.json", "deep.json is not JSON"),
    ("tally", "study_key.json", "study_key.json holds no answers"),
    ("tally", "foreign.json", "foreign.json answers another study (x)"),
    ("tally", "sideways.json", "sideways.json holds no answers"),
    ("tally", "twice.json", "twice.json answers a question twice"),
    ("tally", "invented.json", "invented.json answers a question x that the key lacks"),
    ("tally", "silent.json", "there are no answers in silent.json"),
    ("tally", "answers.json --out none/x.json", "there is no folder none"),
    ("pickles", "points.pkl", "required: RESULT"),
    ("pickles", "points.pkl none.pkl", "cannot read none.pkl (No such file or directory)"),
    ("pickles", "points.pkl empty", "cannot read empty (Is a directory)"),
    ("pickles", "points.pkl text", "text is not the pickle of a DataFrame, or is damaged"),
    ("pickles", "points.pkl trap.pkl", "trap.pkl asks for posix.system, which is refused"),
    ("pickles", "points.pkl table.pkl", "table.pkl has the columns ['x']; expected"),
    ("pickles", "points.pkl strangers.pkl", "points.pkl has frame 0 of 'a' where strangers.pkl has 0 of 'b'"),
    ("pickles", "points.pkl single.pkl", "points.pkl has 2 frames and single.pkl 1"),
    ("pickles", "points.pkl vectors.pkl", "expected one kind"),
    ("pickles", "points.pkl void.pkl", "the pickle holds nothing but None"),
    # prepare
    ("prepare", "--dataset mine", "invalid choice: 'mine'"),
    ("prepare", "--source none", "none is not a folder; expected a folder with train/ and test/"),
    ("prepare", "--source half-corpus", "half-corpus/train holds no video"),
    ("prepare", "--source one-split", "one-split/test holds no video"),
    ("prepare", "--train-list none.txt", "cannot read none.txt (No such file or directory)"),
    (
        "prepare",
        "--train-list up.txt",
        "up.txt, line 1: '../other/0.png'; expected VIDEO/FRAME or VIDEO, names without",
    ),
    ("prepare", "--test-list absolute.txt", "absolute.txt, line 1: '/etc/passwd'; expected VIDEO/FRAME or VIDEO"),
    ("prepare", "--train-list deep.txt", "deep.txt, line 1: 'a/b/c.png'"),
    ("prepare", "--train-list blank.txt", "blank.txt lists no video"),
    ("prepare", "--train-list lfs.txt", "lfs.txt is a pointer of Git LFS"),
    ("prepare", "--train-list /proc/self/mem", "cannot read /proc/self/mem (Input/output error)"),
    ("prepare", "--train-list empty", "cannot read empty (Is a directory)"),
    ("prepare", "--pairs none.csv", "cannot read none.csv"),
    ("prepare", "--pairs pairless.csv", "pairless.csv holds no pair; expected lines of source,driving"),
    ("prepare", "--pairs columns.csv", "columns.csv has no columns source and driving"),
    ("prepare", "--pairs stranger.csv", "stranger.csv, line 2: '../x' is none of the 2 videos"),
    ("prepare", "--crop 4:4", "--crop is '4:4'; expected center, stretch, or a box W:H:X:Y in pixels"),
    ("prepare", "--max-bad lots", "--max-bad is 'lots'; expected a share in percent, 0 to 100"),
    ("prepare", "--max-bad 101", "--max-bad is '101'; expected a share"),
    ("prepare", "--jobs 0", "--jobs is 0; expected 1 or more"),
    ("prepare", "--size -3", "--size is -3; expected pixels, 1 or more"),
    ("prepare", "--encoding gif", "invalid choice: 'gif'"),
    ("prepare", "--max-frames -1", "expected a whole number above 0, got '-1'"),
    ("prepare", "--out text", "text"),
    ("prepare", "--out /proc/new", "/proc/new"),
    ("prepare", "--out data --size 16", "was prepared from other files or with other settings"),
    ("inspect", "none", "none holds no prepared dataset"),
    ("inspect", "corpus", "corpus holds no prepared dataset"),
    ("inspect", "data-text", "data-text cannot be read as a prepared dataset"),
    ("inspect", "data-unfinished", "whose preparation is not finished"),
    ("inspect", "data --seed=-1", "--seed is -1; expected 0 or more"),
    ("inspect", "data --config none.py", "no config file 'none.py'"),
    ("inspect", "data --config.augmentation.hues=1", "unknown config field 'augmentation.hues'"),
    ("inspect", "data --sheet new.jpg", "images are written as .png; rename it"),
    ("inspect", "data --sheet none/new.png", "there is no folder none"),
    # convert
    ("motrans", "convert", "required: ACTION; see motrans convert --help"),
    ("motrans", "convert export x", "invalid choice: 'export'"),
    ("motrans", "convert from-torch", "required: FILE, --out; see motrans convert from-torch --help"),
    ("motrans", "convert from-torch none.pth --out new", "there is no file none.pth"),
    ("motrans", "convert from-torch text --out new", "text is not a readable PyTorch file"),
    ("motrans", "convert from-torch nothing --out new", "nothing is not a readable PyTorch file"),
    ("motrans", "convert from-torch cut.pth --out new", "cut.pth is not a readable PyTorch file"),
    ("motrans", "convert from-torch cut.safetensors --out new", "cut.safetensors is not a readable .safetensors file"),
    ("motrans", "convert from-torch trap.pth --out new", "trap.pth asks to run or to import posix.system, which is"),
    ("motrans", "convert from-torch list.pth --out new", "list.pth holds a list; expected state dicts"),
    ("motrans", "convert from-torch claims.pth --out new", "a claims 1,000,000,000,000 numbers, more than the file"),
    ("motrans", "convert from-torch vgg.pth --out new", "no motion estimator of motion_transformer, fomm, mraa is"),
    ("motrans", "convert from-torch wrong.pth --out new", "1 misshapen: generator.final.bias has (7,), expected (3,)"),
    ("motrans", "convert from-torch wrong.pth --out mtia --overwrite", "1 misshapen: generator.final.bias"),
    ("from-torch", "--out mtia", "mtia exists; pass --overwrite"),
    ("from-torch", "--out text --overwrite", "text is a file; choose a folder"),
    ("from-torch", "--out corpus --overwrite", "corpus holds more than converted weights"),
    ("from-torch", "--out text/new", "text/new"),
    ("from-torch", "--system gan", "invalid choice: 'gan'"),
    ("from-torch", "--system mraa", "holds a checkpoint of fomm, not of mraa"),
    ("from-torch", "--config none.py", "no config file 'none.py'"),
    ("from-torch", f"--config {VOX}:debug", "do not fit this model"),
    ("from-torch", "--config.model.size=3", "unknown config field 'model.size'"),
    ("from-torch", "--frames=3", "unknown option '--frames'"),
    ("motrans", "convert to-torch mtia", "required: --out"),
    ("motrans", "convert to-torch none --out new.pth", "no folder none"),
    ("motrans", "convert to-torch . --out new.pth", "no config.json in ."),
    ("to-torch", "--out new.ckpt", "new.ckpt has an unknown suffix; expected one of .pth, .pth.tar, .safetensors"),
    ("to-torch", "--out fomm.pth.tar", "fomm.pth.tar exists; pass --overwrite"),
    ("to-torch", "--out none/new.pth", "there is no folder none"),
    ("to-torch", "--step last", "expected best or a step's number, got 'last'"),
    ("to-torch", "--step 7", "no step 7 in"),
    ("contents", "none.pth", "there is no file none.pth"),
    ("contents", "empty", "there is no file empty; expected PyTorch weights"),
    ("contents", "text", "text is not a readable PyTorch file"),
    ("contents", "trap.pth", "trap.pth asks to run or to import posix.system, which is refused"),
    ("contents", "claims.pth", "more than the file holds"),
    # ablate
    ("ablate", "--variants base base", "--variants names one twice; expected each once"),
    ("ablate", "--seeds -1", "--seeds has -1"),
    ("ablate", "--seeds x", "invalid int value: 'x'"),
    ("ablate", "--variants base nonsense", "unknown variant 'nonsense'"),
    ("ablate", "--variants base mraa_avd --config.train.num_steps=0", "differ in their budget"),
    ("ablate", "--num-videos 0", "--num-videos is 0"),
    ("ablate", "--pairs dataset", "puppets holds no pairs"),
    ("ablate", "--data none", "there is no folder none"),
    ("ablate", "--config.transformer.depth=0", "transformer.depth=0 is out of range"),
    ("ablate", "--config none.py", "no config file 'none.py'"),
    ("ablate", "--out text", "text"),
    # capacity
    ("capacity", "--config", "--config: expected one argument"),
    ("capacity", "--config none.py", "no config file 'none.py'"),
    ("capacity", "--config kind.py", "kind.py, line 4: TypeError"),
    ("capacity", f"--config {DEMO}:huge", "unknown variant 'huge'"),
    ("capacity", f"--config {DEMO} --config.model.imagesize=3", "did you mean 'image_size'"),
    ("capacity", f"--config {DEMO}:debug --config.model.image_size=30", "model.image_size=30 is not a multiple"),
    ("capacity", f"--config {DEMO} --steps=3", "unknown option '--steps'"),
    ("capacity", "--config.model.image_size=64", "'--config.model.image_size=64' without --config FILE"),
    ("capacity", "extra", "unexpected argument 'extra'"),
    # benchmark
    ("benchmark", "", "required: SUBJECT"),
    ("benchmark", "sleep", "argument SUBJECT: invalid choice: 'sleep'"),
    ("benchmark", "animate --frames 0", "--frames is 0; expected 1 or more"),
    ("benchmark", "animate --dtype float16", "invalid choice: 'float16'"),
    ("benchmark", "animate --config none.py", "no config file 'none.py'"),
    ("benchmark", "animate --config.model.image_size=255", "model.image_size=255"),
    ("benchmark", "animate --peer none", "/none/config/voxceleb1.yaml; --peer expects a checkout"),
    ("benchmark", f"animate --config {VOX}:fomm --peer .", "no counterpart of config vox256-fomm"),
    ("benchmark", "animate --config.animate.adapt_scale=True --peer .", "leave animate.adapt_scale=False"),
    ("benchmark", "animate --profile text", "text is a file; expected a folder"),
    ("benchmark", "train --batch 0", "--batch is 0; expected 1 or more"),
    ("benchmark", "train --steps 0", "--steps is 0; expected 1 or more"),
    ("benchmark", "train --devices 9", "9 devices are asked for and 8 are here"),
    ("benchmark", "train --devices 3", "train.batch_size=2 is not divisible by the 3 devices"),
    ("benchmark", f"train --config {VOX}:mraa_avd", "trains the disentangler alone"),
    ("benchmark", "compile --batch 0", "--batch is 0; expected 1 or more"),
    ("benchmark", f"compile --config {VOX}:mraa_avd", "trains the disentangler alone"),
    ("benchmark", "grid_sample --repeats 0", "--repeats is 0; expected 1 or more"),
    ("benchmark", "data --batch 0", "--batch is 0; expected 1 or more"),
    ("benchmark", "data --workers one", "--workers is 'one'; expected numbers such as 0,1,2"),
    ("benchmark", "data --source none", "none is not a folder"),
    ("benchmark", "data --source corpus --max-bytes 10", "over the limit of 10"),
    ("benchmark", "data --config.augmentation.hues=1", "unknown config field"),
    # demo
    ("demo", "--variant huge", "unknown variant 'huge'"),
    ("demo", "--out text/demo", "cannot write into text/demo/run"),
    ("demo", "--config.train.batch_size=0", "train.batch_size=0 is out of range"),
    ("demo", "--config.data.puppet_frames=1", "data.puppet_frames=1 is out of range"),
    ("demo", "extra", "unexpected argument 'extra'"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def before(root):
    return contents(root)


def contents(root):
    """Every name below a folder, with the kind, and a file's size and hash."""
    found = {}
    for folder, names, files in os.walk(root):
        found |= {os.path.join(folder, name): "folder" for name in names}
        for path in (os.path.join(folder, name) for name in files):
            regular = os.path.isfile(path) and not os.path.islink(path)
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest() if regular else "link or pipe"
    return found


@pytest.fixture
def no_compilation():
    """A mistake is found before anything is compiled."""
    seen = []

    def listen(name, *_, **__):
        seen.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not [name for name in seen if "backend_compile" in name]


@pytest.mark.parametrize(("command", "mistake", "message"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_is_refused(root, before, monkeypatch, capsys, caplog, tmp_path, no_compilation, command, mistake, message):
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(shlex.split(f"{GOOD[command]} {mistake}")) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1, shown
    assert message in shown.err
    assert not [record for record in caplog.records if record.levelno >= logging.INFO], caplog.text
    assert contents(root) == before


def test_every_command_has_rows():
    lines = [shlex.split(f"{GOOD[command]} {mistake}") for command, mistake, _ in ROWS]
    assert set(cli.COMMANDS) <= {line[0] for line in lines if line}
