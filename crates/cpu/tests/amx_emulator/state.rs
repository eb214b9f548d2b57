//! Configuration, loads, stores and the threads that have them.

use std::sync::Barrier;

use super::*;

#[test]
fn configuration_load_and_store() {
    prepare();
    release();
    assert_eq!(Config::current(), Config([0; 64]), "after tilerelease");
    let config = Config::new(&[(1, 4), (16, 64), (7, 20), (0, 0), (3, 8), (2, 60), (16, 4), (1, 64)]);
    config.load();
    assert_eq!(Config::current(), config);
    // Palette 0 resets, whatever follows it.
    let mut reset = config;
    reset.0[0] = 0;
    reset.load();
    assert_eq!(Config::current(), Config([0; 64]), "after palette 0");
}

#[test]
fn tiles_load_store_and_zero() {
    prepare();
    let mut random = Random(1);
    for (rows, bytes) in [(16, 64), (1, 4), (16, 4), (1, 64), (5, 36), (15, 60)] {
        Config::new(&[(rows, bytes); 8]).load();
        let untouched = Block::filled(0xCC);
        let outside = |inside: &Block| {
            let mut expected = untouched.clone();
            for row in 0..rows {
                expected.0[row][..bytes].copy_from_slice(&inside.0[row][..bytes]);
            }
            expected
        };
        assert_eq!(stored!("tmm3"), outside(&Block::filled(0)), "{rows} x {bytes}: tiles start at zero");
        let blocks: [Block; 8] = std::array::from_fn(|_| Block::random(&mut random));
        load!("tmm0", blocks[0]);
        load!("tmm1", blocks[1]);
        load!("tmm2", blocks[2]);
        load!("tmm3", blocks[3]);
        load!("tmm4", blocks[4]);
        load!("tmm5", blocks[5]);
        load!("tmm6", blocks[6]);
        // SAFETY: reads at most 16 rows of 64 bytes.
        unsafe { tile_asm!("tileloaddt1 tmm7, [{0} + {1}*8]"; in(reg) &blocks[7], in(reg) 8_usize,) };
        tiles_only!("tilezero tmm2");
        assert_eq!(stored!("tmm0"), outside(&blocks[0]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm1"), outside(&blocks[1]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm2"), outside(&Block::filled(0)), "{rows} x {bytes}");
        assert_eq!(stored!("tmm3"), outside(&blocks[3]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm4"), outside(&blocks[4]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm5"), outside(&blocks[5]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm6"), outside(&blocks[6]), "{rows} x {bytes}");
        assert_eq!(stored!("tmm7"), outside(&blocks[7]), "{rows} x {bytes}");
    }
    release();
}

#[test]
fn a_start_row_skips_rows_once() {
    prepare();
    let block = Block::random(&mut Random(2));
    Config::full().starting_at(4).load();
    load!("tmm0", block);
    assert_eq!(Config::current(), Config::full(), "a load ends the restart");
    load!("tmm1", block);
    let mut late = block.clone();
    late.0[..4].fill([0; 64]);
    assert_eq!(stored!("tmm0"), late);
    assert_eq!(stored!("tmm1"), block);

    Config::full().starting_at(15).load();
    let mut last = Block::filled(0xCC);
    last.0[15] = [0; 64];
    assert_eq!(stored!("tmm0"), last);
    assert_eq!(Config::current(), Config::full(), "a store ends the restart");

    Config::full().starting_at(3).load();
    tiles_only!("tilezero tmm5");
    assert_eq!(Config::current(), Config::full(), "tilezero ends the restart");
    Config::full().starting_at(3).load();
    tiles_only!("tdpbssd tmm0, tmm1, tmm2");
    assert_eq!(Config::current(), Config::full(), "a product ends the restart");
    release();
}

#[test]
fn threads_have_tiles_of_their_own() {
    prepare();
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        for thread in 0..2_usize {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut random = Random(100 + thread as u64);
                for round in 0..50 {
                    let config = Config::new(&[(4 + 8 * thread, 32 + 16 * thread); 8]);
                    barrier.wait();
                    config.load();
                    barrier.wait();
                    assert_eq!(Config::current(), config, "thread {thread}, round {round}");
                    let block = Block::random(&mut random);
                    load!("tmm0", block);
                    barrier.wait();
                    let expected = block.cropped(4 + 8 * thread, 32 + 16 * thread);
                    let got = stored!("tmm0").cropped(4 + 8 * thread, 32 + 16 * thread);
                    assert_eq!(got, expected, "thread {thread}, round {round}");
                    barrier.wait();
                    if thread == 0 {
                        release();
                    }
                    barrier.wait();
                    let left = if thread == 0 { Config([0; 64]) } else { config };
                    assert_eq!(Config::current(), left, "thread {thread}, round {round}");
                }
                release();
            });
        }
    });
}

#[test]
fn installing_again_is_harmless() {
    prepare();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(emulator::install)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes, [Ok(()); 4]);
    let block = Block::random(&mut Random(9));
    Config::full().load();
    load!("tmm0", block);
    assert_eq!(stored!("tmm0"), block);
    release();
}
